"""``edgefleet model inspect``: what a model takes, gives, consists of and costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from edgefleet_compiler.cli import parse
from edgefleet_compiler.cli.model_options import InputShape
from edgefleet_compiler.cli.show import Json, print_json, stdout
from edgefleet_hardware.units import format_bytes

if TYPE_CHECKING:
    from edgefleet_compiler.lowered.graph import LoweredGraph
    from edgefleet_compiler.source import Source


def inspect(
    model: Annotated[Path, typer.Argument(help="An .onnx, .tflite, .keras or .h5 model, or a SavedModel folder.")],
    input_shape: InputShape = None,
    json: Json = False,
) -> None:
    """Look into a model: inputs, outputs, operators after simplification, weights and work."""
    facts = _facts(model, parse.input_shapes(input_shape or []))
    if json:
        print_json(facts)
        return
    console = stdout()
    console.print(f"[bold]{escape(facts['path'])}[/bold]  {facts['format']}, {format_bytes(facts['bytes'])}")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "name", "shape", "dtype", "axes"):
        table.add_column(heading)
    for role in ("inputs", "outputs"):
        for tensor in facts[role]:
            shape = " x ".join(map(str, tensor["shape"]))
            table.add_row(role[:-1], escape(tensor["name"]), shape, tensor["dtype"], tensor["axes"] or "-")
    console.print(table)
    operators = ", ".join(f"{count} {operator}" for operator, count in facts["operators"].items())
    console.print(f"operators  {operators}", soft_wrap=True)
    narrower = "; the file stores them narrower" if facts["weights_stored_narrower"] else ""
    width = "as quantised" if facts["quantised"] else "in float"
    console.print(f"constants  {format_bytes(facts['weights_bytes'])} {width}{narrower}")
    if facts["macs"] is not None:
        console.print(f"work       {facts['macs']:,} multiply-accumulates")
        console.print(f"peak RAM   {format_bytes(facts['peak_ram_bytes'])} of activations {width}")


def _facts(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    # Imported when called: these load onnx, numpy and the schema of TFLite.
    from edgefleet_compiler.lowered.costs import macs  # noqa: PLC0415
    from edgefleet_compiler.lowered.memory import plan_memory  # noqa: PLC0415
    from edgefleet_compiler.source import load_source  # noqa: PLC0415

    source = load_source(path, input_shapes=shapes)
    lowered, kinds = _consists_of(source)
    return {
        "path": str(path),
        "format": source.file.format,
        "bytes": source.file.size,
        "sha256": source.sha256,
        "quantised": source.quantised is not None,
        "inputs": [_tensor(tensor) for tensor in source.inputs],
        "outputs": [_tensor(tensor) for tensor in source.outputs],
        "operators": dict(sorted(Counter(kinds).items())),
        "weights_bytes": source.weights_bytes,
        "weights_stored_narrower": source.stores_narrower,
        "macs": None if lowered is None else macs(lowered),
        "peak_ram_bytes": None if lowered is None else plan_memory(lowered).peak_bytes,
    }


def _consists_of(source: Source) -> tuple[LoweredGraph | None, list[str]]:
    """The model as a lowered graph, if it has such a form, and the kinds of its operators."""
    if source.lowered is not None:
        return source.lowered, [operator.kind for operator in source.lowered.operators]
    from edgefleet_compiler.exports import lowered_for_costs  # noqa: PLC0415 - loads onnx

    hub = source.hubs.quantised or source.hub
    return lowered_for_costs(hub, io="float", io_layout="source"), [node.op_type for node in hub.graph]


def _tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": str(tensor.dtype), "axes": tensor.axes}
