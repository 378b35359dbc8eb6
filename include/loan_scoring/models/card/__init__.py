"""The model card: what a pair of models is, how well it performs, and who promoted it."""
