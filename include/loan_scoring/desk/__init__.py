"""Functions for the approver, who decides the applications that the policy leaves to a person.

The modules list the queue, show one application, record decisions, and list scoring runs, scores
and recorded on-demand scorings (table `calls`).
"""
