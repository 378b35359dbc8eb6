"""Demonstrate drift: replay nights with each kind of drift and write a page about the results."""
