"""Tokens of SoftHSM in folders of their own, a hardware key store without the hardware."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pkcs11
import pytest

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


def make_token(folder: Path, label: str, pin: str, patch: pytest.MonkeyPatch) -> None:
    """A new token ``label`` with the user PIN ``pin``, in ``folder``, which becomes SoftHSM's only one."""
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    use_tokens(folder, patch)
    made = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "1357"]
    subprocess.run(made, check=True, capture_output=True)
    use_tokens(folder, patch)


def use_tokens(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let SoftHSM know the tokens of ``folder`` alone; it reads its settings once in a process, unless it is told."""
    patch.setenv("SOFTHSM2_CONF", os.fspath(folder / "softhsm2.conf"))
    pkcs11.lib(MODULE).reinitialize()
