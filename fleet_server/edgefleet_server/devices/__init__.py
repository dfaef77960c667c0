"""Devices: claim tokens, enrolment, tags, and the twin that each device reports."""
