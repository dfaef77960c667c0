"""The lowered graph: its types, its lossless passes, and what it costs."""
