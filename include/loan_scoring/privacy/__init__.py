"""Export and erase everything that is held on one loan."""
