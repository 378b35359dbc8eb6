"""How good the scores of a batch are: estimated until outcomes come, realised afterwards."""
