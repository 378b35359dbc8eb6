"""Promotion: gates judge a challenger, and each verdict is recorded with its evidence."""
