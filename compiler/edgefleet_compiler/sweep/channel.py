"""How a sweep talks with the process of a worker: over pipes, each message with its length in front."""

from __future__ import annotations

import struct
from typing import IO, Any

import msgspec

from edgefleet_compiler.sweep.record import Evaluation

_LENGTH = struct.Struct(">Q")


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The worker's answer where nothing can be evaluated at all.

    Attributes:
        error: As ``EdgefleetError.as_json`` has it.
    """

    error: dict[str, Any]


Answer = Evaluation | Refused


def send(pipe: IO[bytes], message: msgspec.Struct) -> None:
    """Write one message.

    Raises:
        OSError: The other end is gone.
    """
    content = msgspec.msgpack.encode(message)
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """Read one message, still encoded; None where the other end is gone."""
    length = pipe.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(length)
    content = pipe.read(size)
    return content if len(content) == size else None
