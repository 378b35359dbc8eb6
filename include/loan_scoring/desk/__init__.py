"""The desk of the approver, who decides the applications that the policy does not decide.

Its modules list the queue, show one application, record decisions, and list scoring runs and calls.
"""
