"""Support the approver, who decides the applications that the policy leaves to a person.

The modules list the queue, show one application, and record decisions. Other functions list scoring
runs, scores, and the requests for scoring that table `calls` records.
"""
