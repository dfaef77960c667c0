"""A signing key, wherever it lies: in a file of its owner's, or in a PKCS #11 token.

Both are the ``Signer`` of securesystemslib, whose ``public_key`` and ``sign`` are all that the rest of the publisher
knows of a key. Keys in files are Ed25519, those of tokens ECDSA P-256, which every token has.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.signer import CryptoSigner, Signer

from edgefleet_contract import keys
from edgefleet_contract.errors import InputError
from edgefleet_server.data_folder import write_durable

PASSPHRASE = "EDGEFLEET_PASSPHRASE"  # noqa: S105 - the name of a variable
_LENGTH = 12  # characters, at least: whoever has a key file can guess for as long as they like


class Passphrase:
    """Opens the keys in files; asked for once, when it is first needed."""

    def __init__(self) -> None:
        self._known = os.environ.get(PASSPHRASE)

    def ask(self, *, new: bool) -> bytes:
        """The passphrase.

        Args:
            new: Whether it is being chosen, and so must be typed twice.

        Raises:
            InputError: There is neither the variable nor a terminal, or what is chosen is too short.
        """
        if self._known is None:
            if not sys.stdin.isatty():
                raise InputError(
                    "The signing keys need a passphrase, and there is no terminal to ask on",
                    remedy=f"Set {PASSPHRASE}.",
                )
            self._known = str(
                typer.prompt("Passphrase of the signing keys", hide_input=True, err=True, confirmation_prompt=new)
            )
        if not self._known:
            raise InputError("The passphrase is empty", expected="one character at least")
        if new and len(self._known) < _LENGTH:
            raise InputError(
                f"The passphrase has {len(self._known)} characters", expected=f"{_LENGTH} at least, such as five words"
            )
        return self._known.encode()


def make_file(folder: Path, stem: str, passphrase: Passphrase | None) -> tuple[Signer, Path]:
    """A fresh key in a file of ``folder`` that only its owner can read; encrypted where a passphrase is given.

    The file's name ends with the beginning of the key's id, so that no two keys are ever taken for each other.
    """
    key = keys.generate()
    signer = CryptoSigner(key)
    path = folder / f"{stem}-{signer.public_key.keyid[:8]}.pem"
    write_durable(path, _as_pem(key, passphrase))
    return signer, path


def open_file(path: Path, passphrase: Passphrase) -> Signer:
    """The key of a file.

    Raises:
        InputError: It cannot be read, the passphrase is wrong, or it is no signing key.
    """
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise InputError(
            f"The signing key {str(path)!r} cannot be read: {cause.strerror}",
            remedy="Bring the key back from where it is kept, or set EDGEFLEET_HOME to the folder that has it.",
        ) from cause
    _tell_if_shared(path)
    secret = passphrase.ask(new=False) if b"ENCRYPTED" in content else None
    try:
        key = serialization.load_pem_private_key(content, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise InputError(
            f"The signing key {str(path)!r} cannot be opened",
            expected="a PKCS #8 PEM, and its passphrase" if secret else "a PKCS #8 PEM",
            remedy=f"Check {PASSPHRASE}." if secret else "",
        ) from cause
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise InputError(f"The signing key {str(path)!r} is a {type(key).__name__}", expected="an Ed25519 key")
    return CryptoSigner(key)


def _tell_if_shared(path: Path) -> None:
    # A warning and no refusal: keys lie on sticks whose file systems know no owners.
    if path.stat().st_mode & 0o077:
        typer.echo(f"Others on this machine can read the signing key {str(path)!r}. Next: chmod 600", err=True)


def _as_pem(key: ed25519.Ed25519PrivateKey, passphrase: Passphrase | None) -> bytes:
    if passphrase is None:
        return keys.to_pem(key)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.ask(new=True)),
    )
