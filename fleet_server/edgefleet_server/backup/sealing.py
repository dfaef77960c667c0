"""Encryption of a stream by a passphrase, so that a backup with keys is of no use to whoever finds it.

The key is scrypt's (RFC 7914) of the passphrase and a fresh salt. The stream is cut into chunks, each sealed with
AES-256-GCM under the nonce ``prefix (7 bytes) || counter (4) || is last (1)``: the STREAM construction (Hoang,
Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015).
So chunks that are changed, left out, put in another order or cut off at the end do not open.
"""

from __future__ import annotations

import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from edgefleet_contract.errors import BackupRefused

MAGIC = b"edgefleet sealed backup 1\n"
_SALT_BYTES = 16
_PREFIX_BYTES = 7
_TAG_BYTES = 16
_CHUNK = 1 << 20  # bytes of plain text
_CHUNKS_LIMIT = 1 << 32  # that the counter can tell apart: 4 PiB
# 128 MiB and about half a second for each guess. Not read from the file, which could ask for any amount.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 17, 8, 1


class SealedWriter:
    """Writes a sealed stream; it is whole only after :meth:`finish`.

    Args:
        file: Opened for writing, at its start.
        passphrase: Whoever has it reads the stream.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        salt, prefix = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_PREFIX_BYTES)
        self._chunks = _Chunks(passphrase, salt, prefix)
        self._buffer = bytearray()
        file.write(MAGIC + salt + prefix)

    def write(self, data: bytes) -> int:
        """Take the next bytes; returns how many that were."""
        self._buffer += data
        while len(self._buffer) > _CHUNK:
            self._file.write(self._chunks.seal(bytes(self._buffer[:_CHUNK]), last=False))
            del self._buffer[:_CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the end."""
        self._file.write(self._chunks.seal(bytes(self._buffer), last=True))


class SealedReader:
    """Reads a sealed stream.

    Args:
        file: Opened for reading, behind :data:`MAGIC`.
        passphrase: As it was sealed with.
    """

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        header = file.read(_SALT_BYTES + _PREFIX_BYTES)
        self._chunks = _Chunks(passphrase, header[:_SALT_BYTES], header[_SALT_BYTES:])
        self._ahead = file.read(_CHUNK + _TAG_BYTES)
        self._plain = bytearray()
        self._ended = False

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end.

        Raises:
            BackupRefused: Another passphrase, or the stream was changed or cut off.
        """
        while len(self._plain) < size and not self._ended:
            sealed, self._ahead = self._ahead, self._file.read(_CHUNK + _TAG_BYTES)
            self._ended = not self._ahead
            self._plain += self._chunks.open(sealed, last=self._ended)
        taken = bytes(self._plain[:size])
        del self._plain[:size]
        return taken


class _Chunks:
    """Seals and opens the chunks of one stream, in their order."""

    def __init__(self, passphrase: str, salt: bytes, prefix: bytes) -> None:
        kdf = Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
        self._cipher = AESGCM(kdf.derive(passphrase.encode()))
        self._prefix = prefix
        self._count = 0

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._next_nonce(last=last), plain, MAGIC)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._next_nonce(last=last), sealed, MAGIC)
        except (InvalidTag, ValueError) as cause:
            raise BackupRefused(
                f"Part {self._count} of the sealed backup does not open",
                expected="the passphrase that it was made with, and the file as it was written",
            ) from cause

    def _next_nonce(self, *, last: bool) -> bytes:
        assert self._count < _CHUNKS_LIMIT
        nonce = self._prefix + self._count.to_bytes(4, "big") + bytes([last])
        self._count += 1
        return nonce
