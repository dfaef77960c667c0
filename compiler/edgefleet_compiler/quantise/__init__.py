"""Quantisation: calibrate a float hub, place QDQ pairs, make integers of its constants."""
