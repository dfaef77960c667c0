"""Rounding of weights: which of the two integers around a weight serves the layer's output best."""
