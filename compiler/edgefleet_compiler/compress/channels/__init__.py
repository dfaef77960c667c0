"""Structured pruning: whole channels of the float hub go, and what reads them makes up for their loss."""
