"""The publisher, on the operator's machine: signing keys, metadata, permits. None of the keys enters a server."""
