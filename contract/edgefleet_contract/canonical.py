"""One way to write JSON: UTF-8, keys sorted, no white space; so equal values have equal bytes and equal digests."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from edgefleet_contract.errors import EdgefleetError, MessageMalformed

Value = TypeVar("Value")


def encode(value: object) -> bytes:
    """``value`` (a msgspec struct, or plain JSON types) as canonical JSON."""
    return msgspec.json.encode(value, order="sorted")


def decode(
    data: bytes, kind: type[Value], *, what: str, limit: int, error: type[EdgefleetError] = MessageMalformed
) -> Value:
    """Decode and validate JSON of at most ``limit`` bytes.

    Args:
        data: UTF-8 JSON, canonical or not.
        kind: The msgspec struct expected. Fields that it does not know are ignored.
        what: What the bytes should be, for the error ("manifest").
        limit: The most bytes accepted.
        error: The class raised.

    Raises:
        EdgefleetError: Of class ``error``: too long, no JSON, or not of the shape of ``kind``.
    """
    if len(data) > limit:
        raise error(f"The {what} has {len(data)} bytes", expected=f"at most {limit}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise error(f"The {what} does not decode: {cause}", expected=f"JSON of a {what}") from cause


def sha256(data: bytes) -> str:
    """SHA-256 in lower-case hexadecimal, the form of every digest here."""
    return hashlib.sha256(data).hexdigest()
