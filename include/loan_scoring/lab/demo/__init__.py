"""Demonstrate drift: replay nights with each kind of drift, and write a page with the results."""
