"""Secrecy: files sealed with a symmetric key, and such keys wrapped to the key of whoever may open them."""
