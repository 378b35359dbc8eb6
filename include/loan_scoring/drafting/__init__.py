"""Draft a contract from a file, check a contract against a file, and say what a change will do.

Nothing in this package writes to a database.
"""
