"""The parameters of each activation: as its operator gives it, as its group shares it, as others read it."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.quantise.calibrate import Range, Ranges
from edgefleet_compiler.quantise.operators import SHARING, data_inputs, fixed_parameters
from edgefleet_compiler.quantise.parameters import IntegerType, Parameters, parameters_of_range
from edgefleet_compiler.quantise.placement import Group, Placement


class Scales:
    """Finds parameters.

    Args:
        placement: Of the graph.
        ranges: Of its activations, by name.
    """

    def __init__(self, placement: Placement, ranges: Ranges) -> None:
        self._placement = placement
        self._ranges = ranges
        self._groups: dict[ir.Value, tuple[Group, Range]] = {}
        for group in placement.groups:
            self._groups.update(dict.fromkeys(group.values, (group, self._range_of(group))))

    def of_group(self, value: ir.Value) -> Parameters:
        """What the value's group shares."""
        group, _ = self._groups[value]
        return self._of_group(value, group.dtype)

    def given(self, value: ir.Value) -> Parameters:
        """What the value is stored with where its operator gives it."""
        own = self._placement.own.get(value)
        return self._of_own(value, own.dtype) if own is not None else self.of_group(value)

    def read_by(self, node: ir.Node, value: ir.Value) -> Parameters:
        """What a node that computes in integers reads the value with."""
        given, dtype = self.given(value), self._placement.layers.integers_of(node)
        if node.op_type in SHARING and node.outputs[0] in self._groups:
            return self.of_group(node.outputs[0])
        if dtype is None or dtype == given.dtype:
            return given
        if value in self._placement.own:
            return self._of_own(value, dtype)
        return self._of_group(value, dtype)

    def _of_own(self, value: ir.Value, dtype: IntegerType) -> Parameters:
        if self._placement.own[value].fixed is not None:
            fixed = fixed_parameters(value, dtype)
            assert fixed is not None
            return fixed
        seen = self._range(value)
        return parameters_of_range(seen.low, seen.high, dtype)

    def _of_group(self, value: ir.Value, dtype: IntegerType) -> Parameters:
        group, seen = self._groups[value]
        if group.fixed is not None:
            fixed = fixed_parameters(group.values[0], dtype)
            assert fixed is not None
            return fixed
        return parameters_of_range(seen.low, seen.high, dtype)

    def _range_of(self, group: Group) -> Range:
        """The range that the constants and the observed members of a group span together."""
        low, high = group.constant_range()
        seen = [self._range(value) for value in group.observed]
        return Range(min([low, *(each.low for each in seen)]), max([high, *(each.high for each in seen)]))

    def _range(self, value: ir.Value) -> Range:
        """What was seen of the value; where nobody looked, what its operator prescribes, or what it only repeats."""
        producer, name = value.producer(), name_of(value)
        fixed = fixed_parameters(value, "int8")
        if name not in self._ranges and fixed is not None:
            return Range(*(fixed.scale * (bound - fixed.zero_point) for bound in (-128, 127)))
        if name in self._ranges or producer is None or producer.op_type not in SHARING:
            return self._ranges[name]
        sources = [producer.inputs[index] for index in data_inputs(producer)]
        seen = [self._range(source) for source in sources if source is not None and source.const_value is None]
        return Range(min(each.low for each in seen), max(each.high for each in seen))
