"""Operators' options tables as attributes, and back: one mapping for all of them, read off the generated schema.

Attributes are named as in ``schema.fbs`` (``stride_w``) and enumerations are spelled as there (``"SAME"``). The
generated object classes (``Conv2DOptionsT``) carry the fields, their defaults and their packing; what they do not
carry, which field is an enumeration of what, stands here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

from edgefleet_compiler.lowered.graph import AttributeValue, Operator
from edgefleet_compiler.tflite.flatfile import Position
from edgefleet_contract.errors import ModelMalformed

_ENUMERATIONS: Final[dict[str, type]] = {
    "padding": schema.Padding,
    "fused_activation_function": schema.ActivationFunctionType,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
    "quantized_bias_type": schema.TensorType,
    "in_data_type": schema.TensorType,
    "out_data_type": schema.TensorType,
    "output_type": schema.TensorType,
    "out_type": schema.TensorType,
    "idx_out_type": schema.TensorType,
    "key_dtype": schema.TensorType,
    "value_dtype": schema.TensorType,
    "kernel_type": schema.LSTMKernelType,
    "combiner": schema.CombinerType,
    "mode": schema.MirrorPadMode,
    "type": schema.LSHProjectionType,
}
# Operators whose options table is not named after them.
_SHARED_TABLES: Final[dict[str, str]] = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
    "RANDOM_UNIFORM": "RandomOptions",
    "RANDOM_STANDARD_NORMAL": "RandomOptions",
    "MULTINOMIAL": "RandomOptions",
}


def members(enumeration: type) -> dict[str, int]:
    """The names and numbers of a generated enumeration."""
    return {name: number for name, number in vars(enumeration).items() if not name.startswith("_")}


@dataclass(frozen=True)
class OptionsTable:
    """One options table of the schema.

    Attributes:
        name: As in the schema, for example ``Conv2DOptions``.
        union_type: Its number in the union ``BuiltinOptions``.
        fields: The generated class's field by attribute name.
        defaults: The attributes that an empty table has; vectors and strings have no default.
    """

    name: str
    union_type: int
    fields: dict[str, str]
    defaults: dict[str, AttributeValue]


@cache
def table_of(kind: str) -> OptionsTable | None:
    """The options table of operators of this kind; None for those that have none, such as LOGISTIC.

    Args:
        kind: Name of a ``BuiltinOperator``.
    """
    by_spelling = {name.lower(): name for name in members(schema.BuiltinOptions)}
    name = _SHARED_TABLES.get(kind) or by_spelling.get(kind.replace("_", "").lower() + "options")
    if name is None:
        return None
    arguments = list(signature(getattr(schema, name + "T").__init__).parameters.values())[1:]
    fields = {_snake_case(argument.name): argument.name for argument in arguments}
    defaults = {
        _snake_case(argument.name): _spelled(_snake_case(argument.name), argument.default)
        for argument in arguments
        if argument.default is not None
    }
    return OptionsTable(name, members(schema.BuiltinOptions)[name], fields, defaults)


def attribute(operator: Operator, name: str) -> Any:
    """An attribute of an operator, or the schema's default; None for an absent vector.

    Raises:
        KeyError: Operators of this kind have no such attribute.
    """
    table = table_of(operator.kind)
    if table is None or name not in table.fields:
        raise KeyError(f"{operator.kind} has no attribute {name!r}")
    return operator.attributes.get(name, table.defaults.get(name))


def read_attributes(kind: str, union_type: int, position: Position) -> dict[str, AttributeValue]:
    """The attributes that an operator's options table in a file stands for.

    Args:
        kind: Name of the ``BuiltinOperator``.
        union_type: The table's ``BuiltinOptions`` number in the file.
        position: Where the options stand.

    Raises:
        ModelMalformed: The options are those of another operator, or hold an unknown enumeration value.
    """
    table = table_of(kind)
    if table is None or union_type != table.union_type:
        raise ModelMalformed(
            f"A {kind} operator of the TFLite file has options of type {union_type}",
            expected=f"{table.name} ({table.union_type})" if table else "none",
        )
    packed = getattr(schema, table.name + "T").InitFromBuf(*position.where)
    return {
        name: _spelled(name, value)
        for name, value in ((name, getattr(packed, spelling)) for name, spelling in table.fields.items())
        if value is not None
    }


def options_object(kind: str, attributes: Mapping[str, AttributeValue]) -> tuple[int, Any] | None:
    """The options table of an operator, ready to be packed.

    Tables without any scalar field (RESHAPE's) are left out when nothing is set; all others are written even when all
    fields have their defaults, because runtimes take an absent table for zeros, which are not always the defaults.

    Args:
        kind: Name of the ``BuiltinOperator``.
        attributes: Named and spelled as in the schema.

    Returns:
        The table's ``BuiltinOptions`` number and the generated object; None when the operator needs no table.

    Raises:
        ValueError: Operators of this kind have no such attribute, or no such value for it.
    """
    table = table_of(kind)
    unknown = set(attributes) - set(table.fields if table else ())
    if unknown:
        raise ValueError(f"{kind} has no attributes {sorted(unknown)}")
    if table is None or not (table.defaults or attributes):
        return None
    options = getattr(schema, table.name + "T")()
    for name, value in attributes.items():
        setattr(options, table.fields[name], _numbered(name, value))
    return table.union_type, options


def _spelled(name: str, value: Any) -> AttributeValue:
    """A field's value as an attribute: enumerations by name, vectors as lists, strings as text."""
    if hasattr(value, "tolist"):
        elements: list[int] | list[float] = value.tolist()
        return elements
    if isinstance(value, bytes):
        return value.decode()
    if name in _ENUMERATIONS and isinstance(value, int):
        spellings = {number: spelling for spelling, number in members(_ENUMERATIONS[name]).items()}
        if value not in spellings:
            raise ModelMalformed(
                f"An operator of the TFLite file has {name} {value}", expected=" or ".join(spellings.values())
            )
        return spellings[value]
    scalar: bool | int | float | str = value
    return scalar


def _numbered(name: str, value: AttributeValue) -> AttributeValue:
    """An attribute's value as the generated classes want it: the inverse of ``_spelled``."""
    if name in _ENUMERATIONS and isinstance(value, str):
        numbers = members(_ENUMERATIONS[name])
        if value not in numbers:
            raise ValueError(f"{name} {value!r} is none of {', '.join(numbers)}")
        return numbers[value]
    return value


def _snake_case(field: str) -> str:
    """``dilationWFactor`` as the schema spells it: ``dilation_w_factor``."""
    return re.sub(r"(?<=.)([A-Z])", r"_\1", field).lower()
