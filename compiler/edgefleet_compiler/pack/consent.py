"""The consent to raw samples, which a publisher writes as TOML and a bundle carries."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from edgefleet_contract.errors import DataMalformed
from edgefleet_contract.manifest import Consent


def read_consent(path: Path) -> Consent:
    """The consent in a file that has ``purpose``, ``contact``, ``recipient`` and ``retention_days``, and no more.

    Raises:
        DataMalformed: It cannot be read, or lacks one of them.
    """
    expected = f"TOML with {', '.join(Consent.__struct_fields__)}; `edgefleet sample key` writes the recipient"
    try:
        table = tomllib.loads(path.read_text())
        strangers = sorted(set(table) - set(Consent.__struct_fields__))
        if strangers:
            raise DataMalformed(f"The consent {str(path)!r} sets {strangers}", expected=expected)
        return msgspec.convert(table, Consent)
    except OSError as cause:
        raise DataMalformed(f"The consent {str(path)!r} cannot be read: {cause.strerror}", expected=expected) from cause
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as cause:
        raise DataMalformed(f"The consent {str(path)!r} is none: {cause}", expected=expected) from cause
