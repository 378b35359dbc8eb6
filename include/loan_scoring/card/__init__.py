"""The model card: what a version is, what it was measured by, who let it into use, its limits."""
