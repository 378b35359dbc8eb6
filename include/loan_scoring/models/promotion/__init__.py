"""Promotion: gates that judge a challenger, and the record of each verdict."""
