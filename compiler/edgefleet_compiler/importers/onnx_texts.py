"""Texts of ONNX files that are none: protobuf hands bytes out where a name is no UTF-8, and nobody expects them."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]  # protobuf ships no types
from google.protobuf.message import Message  # type: ignore[import-untyped]  # as above

from edgefleet_contract.errors import ModelMalformed


def refuse_unreadable_texts(message: Message) -> None:
    """Refuse names and other texts that are no UTF-8, wherever in the model they stand.

    Raises:
        ModelMalformed: There is one; the field and the bytes are told.
    """
    for name, text in _texts(message):
        if isinstance(text, bytes):
            raise ModelMalformed(
                f"A {name!r} of the model is no text: it starts with {text[:20]!r}",
                expected="UTF-8",
                remedy="Fetch or export the model again.",
            )


def _texts(message: Message) -> Iterator[tuple[str, str | bytes]]:
    """Every text of a message and of those inside it, with the name of its field."""
    for field, content in message.ListFields():
        if field.type not in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING):
            continue
        for each in content if field.is_repeated else [content]:
            if field.type == FieldDescriptor.TYPE_STRING:
                yield field.name, each
            else:
                yield from _texts(each)
