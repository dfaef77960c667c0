"""Programs of the operator that are asked whether a device of a batch may enroll.

They lie in the folder ``hooks`` of the server's data folder, and a batch names one of them: who can call the API cannot
bring a program of their own, nor run another one.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from pathlib import Path

from edgefleet_contract.errors import BatchRefused, UsageMalformed

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TIMEOUT = 10.0  # seconds


class Hooks:
    """The programs of one server's ``hooks`` folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self, name: str) -> None:
        """Refuse a name that stands for no program.

        Raises:
            UsageMalformed: It does not.
        """
        if _NAME.fullmatch(name) is None or not os.access(self._folder / name, os.X_OK):
            raise UsageMalformed(
                f"The hook is {name!r}", expected=f"the name of a program that may be executed in {str(self._folder)!r}"
            )

    def ask(self, name: str, question: dict[str, object]) -> None:
        """Ask the program ``name``: it reads one JSON object from stdin, and agrees with exit status 0.

        Raises:
            BatchRefused: It does not agree, takes longer than ``TIMEOUT``, or cannot be run.
        """
        try:
            done = subprocess.run(  # noqa: S603 - a program that the server's owner put there
                [self._folder / name],
                input=json.dumps(question).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as cause:
            _log.error("hook=%s failed: %s", name, cause)
            raise BatchRefused("The operator's hook could not be asked", remedy="The server's log says why.") from cause
        if done.returncode != 0:
            _log.warning("hook=%s refused %s with status %d", name, question, done.returncode)
            raise BatchRefused("The operator's hook does not take this device in")
