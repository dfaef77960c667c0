"""Releases as a TUF repository: what the publisher signs, what the server adds, and proofs of it for devices."""
