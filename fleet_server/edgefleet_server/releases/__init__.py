"""Releases: the trust root, bundles by their content, and signed release statements."""
