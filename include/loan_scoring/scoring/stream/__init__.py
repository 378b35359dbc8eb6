"""Take in applications that arrive one by one, score them and answer."""
