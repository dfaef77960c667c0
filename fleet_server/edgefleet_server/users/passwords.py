"""Passwords: what is taken as one, and how it is kept.

Kept by scrypt (RFC 7914) of the standard library, which needs 32 MiB for each try, as OWASP's password storage sheet
asks at least. Argon2id is no better against today's attackers at such a cost, and would be one more native package.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
import unicodedata

from edgefleet_contract.errors import UsageMalformed

SHORTEST, LONGEST = 12, 256  # characters
_LOG2_N, _R, _P = 15, 8, 3
_HASH_BYTES = 32
_MEMORY = 64 << 20  # bytes that OpenSSL may take
_at_once = threading.Semaphore(2)  # a flood of sign-ins must not take all memory and processors


def check_acceptable(password: str, name: str) -> None:
    """Refuse a password that is too easily guessed. Length counts; rules on kinds of characters do not (NIST 800-63B).

    Raises:
        UsageMalformed: It is too short, too long, or little more than the name.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageMalformed(
            f"The password has {len(password)} characters", expected=f"{SHORTEST} to {LONGEST}; a few words will do"
        )
    if len(set(password)) < 5 or (name.casefold() in password.casefold() and len(password) < len(name) + SHORTEST):
        raise UsageMalformed("The password is too easily guessed", expected="one without the name, of many characters")


def hashed(password: str) -> str:
    """``password`` as it is kept: ``scrypt$LOG2N$R$P$SALT$HASH``."""
    salt = os.urandom(16)
    parts = (base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt, _LOG2_N, _R, _P)))
    return "$".join(("scrypt", str(_LOG2_N), str(_R), str(_P), *parts))


def matches(password: str, kept: str | None) -> bool:
    """Whether ``password`` is the one that is kept; takes as long when none is kept, so that names stay unknown."""
    _, log2_n, r, p, salt, expected = (kept or _NOBODYS).split("$")
    found = _scrypt(password[:LONGEST], base64.b64decode(salt), int(log2_n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(expected)) and kept is not None


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    with _at_once:
        return hashlib.scrypt(text, salt=salt, n=1 << log2_n, r=r, p=p, maxmem=_MEMORY, dklen=_HASH_BYTES)


_NOBODYS = f"scrypt${_LOG2_N}${_R}${_P}${base64.b64encode(bytes(16)).decode()}${base64.b64encode(bytes(32)).decode()}"
