"""Subscriptions of programs to changes (R4 with the HL7 Subscriptions Backport IG): topics, rest-hook, numbered events.

Nothing is imported here: every command reads `settings`, few of them need the rest.
"""
