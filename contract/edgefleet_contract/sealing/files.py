"""Sealed files: AES-256-GCM in segments, so that a file of any size is sealed and read in the memory of one segment.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizar, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", CRYPTO 2015, section 7): a segment's nonce is its number and a mark on the last one. A segment that
is flipped, swapped, repeated or missing therefore does not open, nor does a file that was cut off between two segments.

Layout: magic and version (8 bytes), salt (32 bytes), then segments of ``SEGMENT_BYTES`` of plain bytes and a tag of 16;
the last one may be shorter. The segments' key is HKDF-SHA256 (RFC 5869) of the file's key over header and salt, so that
nothing of the header can be changed either.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edgefleet_contract.errors import SealBroken

KEY_BYTES = 32
SALT_BYTES = 32
SEGMENT_BYTES = 64 * 1024
TAG_BYTES = 16
_MAGIC = b"EFSEAL\0\1"  # the last byte is the version
HEADER_BYTES = len(_MAGIC) + SALT_BYTES
_WHOLE = SEGMENT_BYTES + TAG_BYTES


def new_key() -> bytes:
    """A fresh key for one file."""
    return secrets.token_bytes(KEY_BYTES)


def sealed_size(plain_bytes: int) -> int:
    """Bytes of a sealed file of ``plain_bytes``: a header, and a tag for each segment."""
    segments = max(1, -(-plain_bytes // SEGMENT_BYTES))
    return HEADER_BYTES + plain_bytes + segments * TAG_BYTES


def seal(chunks: Iterable[bytes], destination: BinaryIO, key: bytes, *, salt: bytes | None = None) -> None:
    """Write sealed what ``chunks`` make together.

    Args:
        chunks: The plain bytes, in pieces of any size.
        destination: Opened for writing.
        key: ``KEY_BYTES``, secret.
        salt: ``SALT_BYTES``; random by default. One key may seal different contents only under different salts, while
            equal contents under one salt give equal bytes.
    """
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    cipher = _cipher(key, salt)
    destination.write(_MAGIC + salt)
    number, waiting = 0, b""  # a segment is written once it is known whether it is the last
    for segment in _segments(chunks):
        if waiting:
            destination.write(cipher.encrypt(_nonce(number, is_last=False), waiting, None))
            number += 1
        waiting = segment
    destination.write(cipher.encrypt(_nonce(number, is_last=True), waiting, None))


def seal_bytes(plain: bytes, key: bytes, *, salt: bytes | None = None) -> bytes:
    """``plain`` as a sealed file in memory; see :func:`seal`."""
    sealed = io.BytesIO()
    seal([plain], sealed, key, salt=salt)
    return sealed.getvalue()


def open_sealed(path: Path, key: bytes) -> io.BufferedReader:
    """The plain bytes of a sealed file, for reading and seeking; each segment is opened as it is needed.

    Raises:
        SealBroken: It is no sealed file, the key is another, or it was cut off; from reading: a segment was changed.
        OSError: The file cannot be read.
    """
    return _opened(path.open("rb"), key)


def unseal_bytes(sealed: bytes, key: bytes) -> bytes:
    """The plain bytes of a sealed file in memory.

    Raises:
        SealBroken: As :func:`open_sealed`.
    """
    with _opened(io.BytesIO(sealed), key) as plain:
        return plain.read()


def _opened(file: BinaryIO, key: bytes) -> io.BufferedReader:
    try:
        return io.BufferedReader(_Unsealed(file, key), SEGMENT_BYTES)
    except BaseException:
        file.close()
        raise


class _Unsealed(io.RawIOBase):
    """Random access to the plain bytes; holds one opened segment."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        super().__init__()
        self._file = file
        body = file.seek(0, os.SEEK_END) - HEADER_BYTES
        file.seek(0)
        header = file.read(HEADER_BYTES)
        self._count = -(-body // _WHOLE)
        last = body - (self._count - 1) * _WHOLE
        if not header.startswith(_MAGIC) or last < TAG_BYTES or (last == TAG_BYTES and self._count > 1):
            raise SealBroken("The bytes are no sealed file", expected="a file that edgefleet sealed, whole")
        self._size = body - self._count * TAG_BYTES
        self._cipher = _cipher(key, header[len(_MAGIC) :])
        self._position = 0
        self._held = (-1, b"")
        self._segment(self._count - 1)  # the mark of the last segment shows at once whether the file was cut off

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives is one
        """Fill ``buffer`` up to the end of a segment.

        Raises:
            SealBroken: The segment was changed.
        """
        if self._position >= self._size:
            return 0
        number, offset = divmod(self._position, SEGMENT_BYTES)
        piece = self._segment(number)[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the sealed file too."""
        self._file.close()
        super().close()

    def _segment(self, number: int) -> bytes:
        if self._held[0] != number:
            self._file.seek(HEADER_BYTES + number * _WHOLE)
            try:
                is_last = number == self._count - 1
                plain = self._cipher.decrypt(_nonce(number, is_last=is_last), self._file.read(_WHOLE), None)
            except InvalidTag as cause:
                raise SealBroken(
                    f"Segment {number} of {self._count} does not open",
                    expected="the bytes that were sealed, and their key",
                    remedy="Get the file again; if it is whole, this key is not the one for it.",
                ) from cause
            self._held = (number, plain)
        return self._held[1]


def _segments(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in whole segments and a rest, which is not empty."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        whole = len(gathered) // SEGMENT_BYTES * SEGMENT_BYTES
        for start in range(0, whole, SEGMENT_BYTES):
            yield bytes(gathered[start : start + SEGMENT_BYTES])
        del gathered[:whole]
    if gathered:
        yield bytes(gathered)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    if len(key) != KEY_BYTES or len(salt) != SALT_BYTES:
        raise SealBroken(
            f"A key of {len(key)} bytes and a salt of {len(salt)}", expected=f"{KEY_BYTES} and {SALT_BYTES}"
        )
    return AESGCM(HKDF(hashes.SHA256(), KEY_BYTES, salt, _MAGIC).derive(key))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])
