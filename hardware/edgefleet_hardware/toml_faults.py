"""What is wrong with a TOML file, in the words of TOML."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+")
_ANY_KEY = "[...]"  # msgspec does not say which
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
_WORDS = (
    (re.compile(r"^Object missing required field `(.*)`$"), r"the key '\1' is missing"),
    (re.compile(r"^Object contains unknown field `(.*)`$"), r"the key '\1' is unknown"),
)
_WRONG_KIND = re.compile(r"^Expected `([^`]*)`, got `([^`]*)`$")
_WRONG_VALUE = re.compile(r"^Invalid enum value (.*)$", re.DOTALL)


def plain_fault(cause: Exception, entries: Mapping[str, Any] | None = None, form: type | None = None) -> str:
    """What a decoder says of a file, with the place as the file has it: ``$.int8`` is the key ``int8``.

    Args:
        cause: Of tomllib or msgspec.
        entries: What the file says, where it could be parsed.
        form: What it was to be, where ``entries`` are given.
    """
    place = _PLACE.search(str(cause))
    told, steps = _PLACE.sub("", str(cause)), _STEP.findall(place[1]) if place else []
    allowed = [] if form is None else _allowed(form, steps)
    for jargon, words in _WORDS:
        told = jargon.sub(words, told)
    told = _WRONG_KIND.sub(lambda kinds: f"{_kind(kinds[1])} is expected, and it is {_kind(kinds[2])}", told)
    told = _WRONG_VALUE.sub(
        lambda value: f"{value[1]} is none of {', '.join(allowed) if allowed else 'the values that it can have'}", told
    )
    if entries is not None and form is not None:
        steps = _with_key(cause, entries, form, steps)
    where = "".join(step if step.startswith("[") else f".{step}" for step in steps).removeprefix(".")
    return f"{told} (in {where!r})" if where else told


def is_of_keys(cause: Exception) -> bool:
    """Whether a fault is a key that is missing or unknown, not the value of one."""
    return any(pattern.match(_PLACE.sub("", str(cause))) for pattern, _ in _WORDS)


def required_keys(form: type) -> str:
    """The keys that a file of a form must have, each with what it can be: ``seed (a whole number)``."""
    info = inspect.type_info(form)
    assert isinstance(info, inspect.StructType)
    found = [
        f"{field.encode_name} ({' | '.join(_allowed(form, [field.encode_name])) or _kind_of(field.type)})"
        for field in info.fields
        if field.required
    ]
    return ", ".join(found)


def _kind(names: str) -> str:
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | ") if name != "null")


def _kind_of(info: inspect.Type) -> str:
    kinds = {inspect.IntType: "int", inspect.FloatType: "float", inspect.BoolType: "bool", inspect.ListType: "array"}
    return _KINDS[kinds.get(type(info), "str")]


def _allowed(form: type, steps: list[str]) -> list[str]:
    """The words that may stand at a place; none where any may."""
    types = [inspect.type_info(form)]
    for step in steps:
        types = [inner for info in types for inner in _inner(info, step)]
    literals = [info for outer in types for info in _options(outer) if isinstance(info, inspect.LiteralType)]
    return [str(value) for info in literals for value in info.values]


def _inner(info: inspect.Type, step: str) -> Iterator[inspect.Type]:
    """What may stand one step further down."""
    for option in _options(info):
        if isinstance(option, inspect.StructType):
            yield from (field.type for field in option.fields if field.encode_name == step)
        elif isinstance(option, inspect.ListType):
            yield option.item_type
        elif isinstance(option, inspect.DictType):
            yield option.value_type


def _options(info: inspect.Type) -> tuple[inspect.Type, ...]:
    return info.types if isinstance(info, inspect.UnionType) else (info,)


def _with_key(cause: Exception, entries: Mapping[str, Any], form: type, steps: list[str]) -> list[str]:
    """The place with the key that is at fault: the last of the fewest first entries that give the same fault."""
    if _ANY_KEY not in steps:
        return steps
    before = steps[: steps.index(_ANY_KEY)]
    table: Any = entries
    for step in before:
        table = table[int(step[1:-1])] if step.startswith("[") else table[step]
    keys = list(table)

    def has_fault(count: int) -> bool:
        try:
            msgspec.convert(_replaced(entries, before, {key: table[key] for key in keys[:count]}), form)
        except msgspec.ValidationError as fault:
            return str(fault) == str(cause)
        return False

    at_fault = keys[bisect_left(range(len(keys)), True, key=has_fault) - 1]
    return [*before, f"[{at_fault!r}]", *steps[len(before) + 1 :]]


def _replaced(entries: Any, steps: list[str], value: object) -> Any:
    """A copy with another value at a place."""
    if not steps:
        return value
    step, *others = steps
    if step.startswith("["):
        index = int(step[1:-1])
        return [*entries[:index], _replaced(entries[index], others, value), *entries[index + 1 :]]
    return {**entries, step: _replaced(entries[step], others, value)}
