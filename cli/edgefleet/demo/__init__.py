"""The demo: a model's whole way, told by the documented commands, each run as a person would run it."""
