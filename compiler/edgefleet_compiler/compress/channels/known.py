"""What is known of channels while a graph is walked: which of them are one, and which must stay, and why."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.layer_names import short_name
from edgefleet_compiler.quantise.channel_rules import FIXED, Classes, Known


class Coupled(Known):
    """Channels in classes: those of one class stay or go together.

    Other than for scaling, any operator that takes each channel on its own leaves them free.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reasons: list[tuple[int, str]] = []

    def hold(self, value: ir.Value | None, reason: str) -> None:
        """Keep all channels of a value.

        Args:
            value: The value; one without known channels is left alone.
            reason: Why, as a clause.
        """
        for number in self.classes_of(value).tolist() if value is not None and value in self.values else ():
            self._reasons.append((number, reason))

    def hold_inputs(self, node: ir.Node, reason: str) -> None:
        """Keep all channels that a node reads; the reason has a place for its name."""
        for value in node.inputs:
            self.hold(value, reason.format(named(node)))

    def union_within(self, classes: Classes) -> None:
        """Make one class of all of these."""
        self.union(classes[1:], classes[:-1])

    def reasons(self) -> dict[int, str]:
        """Of each class that must stay, by its root: the first reason that was found."""
        found = {FIXED: "they meet channels that no layer with constant weights gives"}
        for number, reason in self._reasons:
            found.setdefault(self.root(number), reason)
        return found


def named(node: ir.Node) -> str:
    """A node as a message names it."""
    return f"{short_name(node.name or '')!r} ({node.op_type})"
