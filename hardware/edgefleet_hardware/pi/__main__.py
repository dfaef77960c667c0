"""``python -m edgefleet_hardware.pi``: build the emulated Raspberry Pi."""

from __future__ import annotations

import sys

from edgefleet_contract.errors import EdgefleetError
from edgefleet_hardware.pi.build import build_root
from edgefleet_hardware.pi.root import default_folder


def main() -> int:
    """Build the root where it is looked for, and print its folder."""
    try:
        root = build_root(default_folder(), lambda line: print(line, "...", file=sys.stderr))  # noqa: T201 - a command
    except EdgefleetError as error:
        print(f"error[{error.code}]: {error.text()}", file=sys.stderr)  # noqa: T201 - as above
        return error.exit_status
    print(root.folder)  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
