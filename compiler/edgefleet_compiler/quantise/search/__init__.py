"""Choices by what they do to the model's outputs: ranges, sensitivity of layers, mixed precision."""
