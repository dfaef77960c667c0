"""Exporters: a hub in, the bytes of an artifact out. One format, one file."""
