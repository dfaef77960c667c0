"""Compression of the float hub: fewer channels, lower ranks, fewer weights; then training to make up for the loss."""
