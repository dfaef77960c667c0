"""Secrets that we make ourselves: 256 random bits, kept only as their SHA-256, which needs no slow hash."""

from __future__ import annotations

import hashlib
import secrets


def new_secret() -> str:
    """256 random bits, for a URL, a header or a cookie."""
    return secrets.token_urlsafe(32)


def sha256(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
