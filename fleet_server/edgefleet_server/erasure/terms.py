"""How long what devices send is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """How long things are kept, in days.

    Attributes:
        telemetry: Telemetry windows and sketches. Three months show a season begin; rollouts and drift need a day.
        samples: The most for any sample; its consent may say less.
    """

    telemetry: int = 90
    samples: int = 365
