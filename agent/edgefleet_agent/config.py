"""Settings of a running agent: defaults, then ``agent.toml`` in the data folder, then options of the command line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields, replace
from typing import Any

from edgefleet_agent.folder import DataFolder
from edgefleet_agent.inference import Limits
from edgefleet_agent.redaction import parse_hooks
from edgefleet_contract.errors import UsageMalformed

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_UNITS_BYTES = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        listen: Where inference is served: ``HOST:PORT`` of the loopback (port 0: any that is free) or ``unix:PATH``.
        telemetry_interval_s: Length of a telemetry window.
        spool_max_bytes: The most that unacknowledged telemetry takes on disk.
        model_memory_bytes: Address space that a runtime with its model may take.
        load_timeout_s: For loading a model.
        inference_timeout_s: For one inference request.
        threads: Of the runtime.
        samples_max_bytes: The most that sealed samples take on disk until the server has them.
        redact: Redaction hooks that every sample passes before it is sealed, separated by commas (see ``redaction``).
    """

    listen: str = "127.0.0.1:8501"
    telemetry_interval_s: float = 3600.0
    spool_max_bytes: int = 16 * 1024 * 1024
    model_memory_bytes: int = 1 << 30
    load_timeout_s: float = 120.0
    inference_timeout_s: float = 60.0
    threads: int = 1
    samples_max_bytes: int = 32 * 1024 * 1024
    redact: str = ""

    def limits(self) -> Limits:
        """What an inference child may take."""
        return Limits(self.model_memory_bytes, self.load_timeout_s, self.inference_timeout_s, self.threads)


def load_config(folder: DataFolder, options: dict[str, Any]) -> Config:
    """The settings for a data folder.

    Args:
        folder: Its ``agent.toml`` may set any attribute of :class:`Config`; times and sizes with or without unit.
        options: From the command line; those that are None were not given.

    Raises:
        UsageMalformed: An unknown setting, or a value that is none.
    """
    given = {name: value for name, value in options.items() if value is not None}
    settings = {**_read(folder), **given}
    kinds = {field.name: type(field.default) for field in fields(Config)}
    strangers = sorted(set(settings) - set(kinds))
    if strangers:
        raise UsageMalformed(f"{str(folder.settings)!r} sets {strangers}", expected=f"only {sorted(kinds)}")
    config = replace(Config(), **{name: _parsed(name, kinds[name], value) for name, value in settings.items()})
    parse_hooks(config.redact)
    return config


def _read(folder: DataFolder) -> dict[str, Any]:
    try:
        return tomllib.loads(folder.settings.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise UsageMalformed(f"The settings {str(folder.settings)!r} cannot be read: {cause}") from cause


def _parsed(name: str, kind: type, value: Any) -> Any:
    if kind is str:
        return str(value)
    units = _UNITS_S if name.endswith("_s") else _UNITS_BYTES if name.endswith("_bytes") else {}
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*", str(value))
    factor = None if match is None else 1 if match[2] == "" else units.get(match[2])
    quantity = 0.0 if match is None or factor is None else float(match[1]) * factor
    if quantity <= 0 or (kind is int and quantity != int(quantity)):
        raise UsageMalformed(
            f"The setting {name} is {value!r}",
            expected="a positive number"
            + (f", with one of the units {', '.join(filter(None, units))}" if units else ""),
        )
    return kind(quantity)
