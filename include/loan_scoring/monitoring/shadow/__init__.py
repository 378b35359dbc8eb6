"""Compare a challenger in shadow with the champion night by night, and judge it by these nights."""
