"""The architecture of a Keras model, as JSON: inspected before Keras makes objects of it.

Keras makes an object of every dictionary with a ``class_name``. Its safe mode refuses lambdas, but has been got round
more than once by other classes (CVE-2024-3660, CVE-2025-1550, CVE-2025-8747, CVE-2025-9905). So only layers,
operations and their parts are let through here, by the modules that they come from, and of these none that brings code
or reads files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from edgefleet_contract.errors import ModelCarriesCode, ModelMalformed, OperatorUnsupported

Configuration = dict[str, Any]

MOST_BYTES: Final = 64 << 20

_MODULES: Final = frozenset(
    {
        *("keras", "keras.models", "keras.layers", "keras.activations"),
        *("keras.initializers", "keras.regularizers", "keras.constraints", "keras.dtype_policies"),
    }
)
_INNER_MODULES: Final = tuple(
    f"keras.src.{name}."
    for name in (
        *("models", "engine", "layers", "ops", "activations"),
        *("initializers", "regularizers", "constraints", "dtype_policies"),
    )
)
_CODE: Final = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})
_FILES: Final = frozenset({"TFSMLayer", "StringLookup", "IntegerLookup", "TextVectorization"})
_VALUES: Final = frozenset({"__keras_tensor__", "__slice__", "__tuple__", "__ellipsis__", "__tensor__", "__numpy__"})
_GROUPLESS: Final = frozenset({"DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"})


def parse_configuration(text: bytes | str) -> Configuration:
    """The architecture as Keras wrote it.

    Raises:
        ModelMalformed: It is no JSON, or too large or too deep to be an architecture.
    """
    if len(text) > MOST_BYTES:
        raise ModelMalformed(f"The model's configuration has {len(text)} bytes", expected=f"at most {MOST_BYTES}")
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise ModelMalformed(f"The model's configuration is no JSON: {cause}") from cause
    if not isinstance(configuration, dict) or not isinstance(configuration.get("class_name"), str):
        raise ModelMalformed("The model's configuration names no class", expected="one that Keras wrote")
    return configuration


def check_configuration(configuration: Configuration) -> None:
    """Refuse what Keras must not make objects of; all of it at once.

    Raises:
        ModelCarriesCode: Layers that bring code, or that read files when they are made.
        OperatorUnsupported: Classes that are not Keras's own.
    """
    objects = list(_objects(configuration))
    dangerous = [_told(entry) for entry in objects if entry["class_name"] in _CODE | _FILES]
    if dangerous:
        raise ModelCarriesCode(
            f"The model holds {', '.join(dangerous)}: making them runs code that came with the model, or reads files",
            expected="layers of Keras's own that need neither",
            remedy="Put built-in layers in their place; or export the model to ONNX or TFLite where it is trusted.",
            layers=dangerous,
        )
    foreign = [_told(entry) for entry in objects if not _is_known(entry)]
    if foreign:
        raise OperatorUnsupported(
            f"The model holds objects that are not Keras's own: {', '.join(foreign)}",
            expected="built-in layers, whose code need not come from elsewhere",
            remedy="Export the model to ONNX or TFLite where its code is, and compile that.",
            layers=foreign,
        )


def drop_old_arguments(configuration: Configuration) -> None:
    """Take out arguments of Keras 2 that said nothing and that Keras 3 refuses.

    Keras 2 wrote ``groups`` for every descendant of its convolution; these three have no groups, and it was 1.
    """
    for entry in _objects(configuration):
        arguments = entry.get("config")
        if entry["class_name"] in _GROUPLESS and isinstance(arguments, dict) and arguments.get("groups") == 1:
            del arguments["groups"]


def _objects(configuration: Configuration) -> Iterator[Configuration]:
    """Every dictionary that names a class, each once, outer ones first."""
    waiting: list[Any] = [configuration]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, dict):
            if isinstance(entry.get("class_name"), str):
                yield entry
            waiting += reversed(list(entry.values()))
        elif isinstance(entry, list):
            waiting += reversed(entry)


def _is_known(entry: Configuration) -> bool:
    """Whether a class is Keras's own by what is said of it.

    The older form says nothing of modules: Keras then looks among its own classes alone, and refuses others by itself.
    """
    name, module = str(entry["class_name"]), str(entry.get("module"))
    if name.startswith("__"):
        return name in _VALUES
    if "module" not in entry:
        return ">" not in name
    if name == "function":
        return module == "builtins"  # an activation by name: Keras looks among its own
    return module in _MODULES or module.startswith(_INNER_MODULES)


def _told(entry: Configuration) -> str:
    arguments = entry.get("config")
    name = arguments.get("name") if isinstance(arguments, dict) else None
    kind = entry.get("registered_name") or entry["class_name"]
    return f"{str(name)[:80]!r} ({str(kind)[:80]})" if name else str(kind)[:80]
