"""Whole numbers on the wire: bounded, so that every reader of JSON and every database holds them exactly."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

LARGEST = (1 << 53) - 1  # RFC 8259, section 6: up to here all readers agree
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
