"""The operator's own folder, and where a server on the same machine keeps its data."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """``$EDGEFLEET_HOME``, by default ``~/.config/edgefleet``."""
    configured = os.environ.get("EDGEFLEET_HOME")
    return Path(configured) if configured else Path.home() / ".config" / "edgefleet"


def default_data() -> Path:
    """``$EDGEFLEET_DATA``, by default ``server`` in the operator's folder."""
    configured = os.environ.get("EDGEFLEET_DATA")
    return Path(configured) if configured else home() / "server"
