"""Palettes: weights that have few distinct integers in a layer, which files store as numbers of these."""
