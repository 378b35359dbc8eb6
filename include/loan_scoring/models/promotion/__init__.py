"""Judge a challenger by gates, and record each verdict on a promotion with its evidence."""
