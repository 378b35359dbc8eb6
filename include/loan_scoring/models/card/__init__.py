"""The model card: what a pair of models is, how good it is, and who promoted it."""
