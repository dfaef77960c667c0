"""Blocks: the pieces of a file on the wire. A fixed binary header, then at most ``BLOCK_BYTES`` bytes.

A block is not proof of anything: the file is complete only when its hash says so.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgefleet_contract.errors import MessageMalformed

BLOCK_BYTES = 128 * 1024
WINDOW = 16  # blocks that one request may ask for: the credit of a device
_HEADER = struct.Struct(">4sB32sIQ")
_MAGIC = b"EFBK"
_VERSION = 1


@dataclass(frozen=True)
class Block:
    """One piece of a file.

    Attributes:
        sha256: Of the whole file, in hexadecimal.
        index: The block covers bytes ``index * BLOCK_BYTES`` up to the next block.
        total_bytes: Size of the whole file.
        data: The bytes.
    """

    sha256: str
    index: int
    total_bytes: int
    data: bytes


def block_count(total_bytes: int) -> int:
    """How many blocks a file of ``total_bytes`` has."""
    return -(-total_bytes // BLOCK_BYTES)


def block_length(total_bytes: int, index: int) -> int:
    """How many bytes block ``index`` of a file of ``total_bytes`` has."""
    return min(BLOCK_BYTES, total_bytes - index * BLOCK_BYTES)


def encode(block: Block) -> bytes:
    """The block as an MQTT payload."""
    header = _HEADER.pack(_MAGIC, _VERSION, bytes.fromhex(block.sha256), block.index, block.total_bytes)
    return header + block.data


def decode(payload: bytes) -> Block:
    """Parse a block and check that its length is the one its index must have.

    Raises:
        MessageMalformed: It is no block, or contradicts itself.
    """
    if len(payload) < _HEADER.size:
        raise MessageMalformed(f"A block has {len(payload)} bytes", expected=f"at least {_HEADER.size}")
    magic, version, sha256, index, total = _HEADER.unpack_from(payload)
    if magic != _MAGIC or version != _VERSION:
        raise MessageMalformed("A block has another magic or version", expected=f"{_MAGIC!r}, version {_VERSION}")
    data = payload[_HEADER.size :]
    if index >= block_count(total) or len(data) != block_length(total, index):
        raise MessageMalformed(f"Block {index} of a file of {total} bytes has {len(data)} bytes")
    return Block(sha256.hex(), index, total, data)
