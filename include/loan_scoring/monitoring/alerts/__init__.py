"""Open, update and resolve alerts by their cause, and send the alerts through channels."""
