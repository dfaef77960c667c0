"""``edgefleet model benchmark``: what an inference costs, measured on this host or counted in an emulated board."""
