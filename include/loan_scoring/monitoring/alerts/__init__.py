"""Open, update and resolve alerts by their cause, and send them through channels."""
