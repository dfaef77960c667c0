"""Packing: bundles made of artifacts, and bundles as folders."""
