"""The audit log: who did what, when, and to what; in the order in which it was committed."""
