"""The approver's desk: the queue of applications left to a person, decisions, extracts."""
