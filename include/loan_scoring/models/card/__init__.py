"""Write the model card: what a pair of models is for, how it performs, and who promoted it."""
