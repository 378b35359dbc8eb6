"""Performance of the scores of a batch: estimated until outcomes come, realised afterwards."""
