"""Where a signing key lies in a PKCS #11 token: a URI as RFC 7512 writes them. Needs no token library."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from urllib.parse import quote, unquote

from edgefleet_contract.errors import UsageMalformed

SCHEME = "pkcs11:"
MODULE = "EDGEFLEET_PKCS11_MODULE"
_DEFAULT_MODULE = "/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True)
class Location:
    """A key of a token.

    Attributes:
        token, label: Of the token, and of the key object in it.
        module: The shared library that speaks to the token.
    """

    token: str
    label: str
    module: str

    @property
    def uri(self) -> str:
        """As it is kept."""
        return f"{SCHEME}token={quote(self.token)};object={quote(self.label)}?module-path={quote(self.module, '/')}"


def parse_uri(uri: str) -> Location:
    """The key that ``pkcs11:token=T;object=O?module-path=M`` names; ``object`` may be left out, and the module's path.

    Raises:
        UsageMalformed: That is no such URI.
    """
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    found = dict(part.partition("=")[::2] for part in [*path.split(";"), *query.split("&")] if part)
    if not uri.startswith(SCHEME) or not found.get("token"):
        raise UsageMalformed(f"The key is {uri!r}", expected="pkcs11:token=TOKEN;object=NAME")
    module = unquote(found.get("module-path", "")) or os.environ.get(MODULE) or _DEFAULT_MODULE
    return Location(unquote(found["token"]), unquote(found.get("object", "edgefleet")), module)


def fresh_location(uri: str, stem: str) -> Location:
    """Where a new key goes in the token of ``uri``, under a label that no other has."""
    base = parse_uri(uri)
    return Location(base.token, f"{base.label}-{stem}-{secrets.token_hex(4)}", base.module)
