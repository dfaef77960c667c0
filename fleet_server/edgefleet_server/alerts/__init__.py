"""Alerts: what a person should look at, once for each cause."""
