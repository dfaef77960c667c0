"""What a family sees of one node: its operands in the form that it wants, its attributes, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import onnx_ir as ir
import tensorflow as tf

from edgefleet_compiler.finetune.child.held import TO_LAST, Held, Tensor
from edgefleet_compiler.hub.graph import Constant, input_integers, shape_of
from edgefleet_contract.errors import OperatorUnsupported


@dataclass(frozen=True)
class Operand:
    """One input of a node.

    Attributes:
        held: What it is now.
        constant: Its number where it is a constant that is not trained; None for others.
        shape: In the graph, with a batch of 1.
        is_activation: Whether its first axis is the batch.
        is_trained: Whether it is a weight.
    """

    held: Held
    constant: Constant | None
    shape: tuple[int, ...]
    is_activation: bool = False
    is_trained: bool = False


@dataclass(frozen=True)
class Site:
    """One node.

    Attributes:
        node: In the hub.
        operands: One for each input; None for those left out.
    """

    node: ir.Node
    operands: Sequence[Operand | None]

    def refuse(self, why: str) -> NoReturn:
        """Say that training does not take this node.

        Raises:
            OperatorUnsupported: Always.
        """
        raise refusal([(self.node, why)])

    def operand(self, index: int) -> Operand:
        """An input that is there."""
        operand = self.operands[index]
        assert operand is not None, "hubs are checked by onnxruntime"
        return operand

    def has(self, index: int) -> bool:
        """Whether an input is there."""
        return index < len(self.operands) and self.operands[index] is not None

    def plain(self, index: int = 0) -> Tensor:
        """An input with its axes as in the graph."""
        return self.operand(index).held.plain

    def last(self, index: int = 0) -> Tensor:
        """An input of rank 4, channels last."""
        return self.operand(index).held.last

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of an input, with a batch of 1."""
        return self.operand(index).shape

    @property
    def rank(self) -> int:
        """Of the first input."""
        return len(self.shape())

    @property
    def given(self) -> tuple[int, ...]:
        """The shape of the first output, with a batch of 1."""
        return shape_of(self.node.outputs[0])

    @property
    def is_last(self) -> bool:
        """Whether the first input is held with its channels last."""
        return self.operand(0).held.made_last

    def integers(self, index: int) -> tuple[int, ...]:
        """A constant input of integers; none where it is absent."""
        return input_integers(self.node, index) or ()

    def axis(self, axis: int) -> int:
        """An axis of the first input, counted from the front.

        Raises:
            OperatorUnsupported: It is that of the batch.
        """
        counted = axis % self.rank
        if counted == 0:
            self.refuse("it works along the batch")
        return counted

    def along(self, axis: int, function: Callable[[Tensor, int], Tensor]) -> Held:
        """A function along one axis of the first input, which stays in the form that it is in."""
        axis = self.axis(axis)
        if self.is_last:
            return Held(last=function(self.last(), TO_LAST.index(axis)))
        return Held(function(self.plain(), axis))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Held:
        """A function of each element of the first input."""
        return Held(last=function(self.last())) if self.is_last else Held(function(self.plain()))

    def broadcast(self, function: Callable[..., Tensor]) -> Held:
        """A function of elements of all inputs, broadcast against each other."""
        operands = [operand for operand in self.operands if operand is not None]
        rank = len(self.given)
        if any(operand.is_activation and len(operand.shape) != rank for operand in operands):
            self.refuse("its operands have unlike ranks, of which one has the batch elsewhere")
        if rank == 4 and any(operand.held.made_last for operand in operands):
            return Held(last=function(*(_as_last(operand) for operand in operands)))
        return Held(function(*(operand.held.plain for operand in operands)))


def _as_last(operand: Operand) -> Tensor:
    if len(operand.shape) == 4:
        return operand.held.last
    return tf.transpose(tf.reshape(operand.held.plain, (1,) * (4 - len(operand.shape)) + operand.shape), TO_LAST)


def refusal(refused: Sequence[tuple[ir.Node, str]]) -> OperatorUnsupported:
    """The error that names nodes which training does not take, each with the reason."""
    named = [f"{node.name!r} ({node.op_type}): {why}" for node, why in refused[:8]]
    more = f" and {len(refused) - len(named)} more" if len(refused) > len(named) else ""
    return OperatorUnsupported(
        f"The model cannot be trained as it is: {'; '.join(named)}{more}",
        expected="convolutions, matrices, pools, sums and activations, each with the batch as its first axis",
        remedy="Train it where it was made; or compile it without fine-tuning.",
        operators=[{"node": node.name or "", "operator": node.op_type} for node, _ in refused],
    )
