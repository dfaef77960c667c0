"""The ladder: tries recipes for a target from the smallest artifact up, and ships the first that is good enough."""
