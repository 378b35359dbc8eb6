"""Statistics as pure functions of arrays; nothing here reads, writes or decides."""
