"""What the console's pages are made with: templates that escape whatever is put into them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

_HERE = Path(__file__).parent
SEE_OTHER = 303
_LONG_HEX = re.compile(r"\b[0-9a-f]{40,}\b")

templates = Jinja2Templates(directory=_HERE / "templates")


def static_files() -> StaticFiles:
    """Styles and scripts."""
    return StaticFiles(directory=_HERE / "static")


def _moment(milliseconds: int) -> str:
    """UTC milliseconds for people."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _brief(value: Any) -> str:
    """A value of an entry's details for people: long digests are cut, lists and tables are JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _LONG_HEX.sub(lambda found: f"{found[0][:12]}…", text)


templates.env.filters |= {"moment": _moment, "brief": _brief}
