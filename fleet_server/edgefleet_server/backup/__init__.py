"""Backups of a server: one file that holds everything a fleet needs to go on, and the way back from it."""
