"""Lossless pruning: channels that are constant or that nothing reads are taken out, and a certificate says why."""
