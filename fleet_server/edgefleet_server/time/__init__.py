"""Signed time for devices, which may have no clock of their own."""
