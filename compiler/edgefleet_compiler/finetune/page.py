"""``report.html`` of a run: its learning curve, what it was asked for, and every epoch in figures."""

from __future__ import annotations

import msgspec

from edgefleet_compiler.finetune.record import Run
from edgefleet_compiler.report.page import page
from edgefleet_compiler.report.pictures.curve import draw_curve


def render(run: Run, name: str) -> str:
    """The page; every text in it is escaped.

    Args:
        run: That has ended.
        name: Of the model file.
    """
    losses = draw_curve(
        "loss over epochs, trained and held out",
        [
            ("trained", [(epoch.epoch, epoch.loss) for epoch in run.epochs if epoch.loss is not None]),
            ("held out", [(epoch.epoch, epoch.validation_loss) for epoch in run.epochs]),
        ],
        run.best,
    )
    shares = [(epoch.epoch, epoch.validation_top1) for epoch in run.epochs if epoch.validation_top1 is not None]
    asked = msgspec.to_builtins(run.identity)
    options = asked.pop("settings") | asked
    return page(
        "finetune.html.j2",
        run=run,
        name=name,
        before=run.epochs[0],
        after=run.epochs[run.best],
        losses=losses,
        shares=draw_curve("share of right classes over epochs, held out", [("top1", shares)], run.best)
        if shares
        else None,
        options={key: _written(value) for key, value in options.items() if value is not None},
    )


def _written(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
