"""Names with a fixed form: device ids, digests, semantic versions."""

from __future__ import annotations

import base64
import re
import secrets

from edgefleet_contract.errors import UsageMalformed

DEVICE_ID = re.compile(r"d-[a-z2-7]{16}")
DIGEST = re.compile(r"[0-9a-f]{64}")
# semver.org 2.0.0, the regular expression of its FAQ with the groups this code needs.
_SEMVER = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def new_device_id() -> str:
    """A fresh device id: ``d-`` and 16 base32 characters (80 random bits)."""
    return "d-" + base64.b32encode(secrets.token_bytes(10)).decode().lower()


def new_boot_id() -> str:
    """A fresh name for one life of an agent process: 16 hexadecimal characters."""
    return secrets.token_hex(8)


def is_device_id(text: str) -> bool:
    """Whether ``text`` has the form of a device id."""
    return DEVICE_ID.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether ``text`` is a SHA-256 in lower-case hexadecimal."""
    return DIGEST.fullmatch(text) is not None


def check_version(text: str) -> str:
    """``text`` if it is a semantic version.

    Raises:
        UsageMalformed: It is not.
    """
    if len(text) > 64 or _SEMVER.fullmatch(text) is None:
        raise UsageMalformed(f"The version is {text!r}", expected="a semantic version such as 1.0.0 or 2.1.0-rc.1")
    return text


def check_name(text: str) -> str:
    """``text`` if it can name a model: it becomes part of file names.

    Raises:
        UsageMalformed: It cannot.
    """
    if _NAME.fullmatch(text) is None:
        raise UsageMalformed(
            f"The name is {text!r}",
            expected="1 to 64 of a-z, 0-9, dot, hyphen and underscore, with a letter or digit at each end",
        )
    return text
