"""Statistics as pure functions of arrays, without input, output or decisions."""
