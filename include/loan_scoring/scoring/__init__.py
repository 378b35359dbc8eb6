"""Score applications: the stage `score` for batches, and scoring a file or a request on demand."""
