"""Checks: what an artifact computes, costs and loses, measured before anybody believes in it."""
