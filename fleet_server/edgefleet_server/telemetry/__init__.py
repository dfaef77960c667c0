"""Telemetry: what devices measured, kept once, and the drift of what they see."""
