"""What ``edgefleet model benchmark`` shows a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from edgefleet_compiler.benchmark.record import (
    HostBenchmark,
    Instructions,
    Method,
    ModelEntry,
    NodeInstructions,
    NodeTime,
    OutputAgreement,
    PiBenchmark,
)
from edgefleet_compiler.checks.latency import Spread
from edgefleet_compiler.cli.show import stdout
from edgefleet_hardware.units import format_bytes

_NAME_WIDTH = 60  # characters; converters join the names of all that they fuse
_METHODS = {
    "runtime profile": "by onnxruntime's own profile, one thread",
    "operators alone": "each in a model of its own, one thread",
}
_CLASSES = {
    "total": "all",
    "dot": "dot products (SDOT, UDOT)",
    "int_mlal": "integer multiply-accumulates",
    "float_mla": "float multiply-accumulates",
    "simd_other": "other vector and float",
    "load_store": "loads and stores",
    "other": "everything else",
}


def show_benchmark(result: HostBenchmark | PiBenchmark) -> None:
    """The figures as tables on stdout."""
    if isinstance(result, HostBenchmark):
        _show_host(result)
    else:
        _show_pi(result)


def _show_host(result: HostBenchmark) -> None:
    console = stdout()
    latency, memory = result.latency, result.memory
    plural = "s" if result.threads > 1 else ""
    console.print(f"[bold]{escape(result.artifact.path)}[/bold] on {result.processor}, {result.threads} thread{plural}")
    console.print(f"inference    {_spread(latency.artifact)}, {latency.runs} runs")
    if result.baseline is not None and latency.baseline is not None and latency.ratio_ci95 is not None:
        interval = escape("[{:.3f}, {:.3f}]".format(*latency.ratio_ci95))
        console.print(f"float model  {_spread(latency.baseline)}")
        console.print(f"             {_told(result.baseline)}", soft_wrap=True)
        console.print(f"ratio        {latency.ratio:.3f} {interval} of the float model's time")
    console.print(
        f"memory       {format_bytes(memory.of_model)} for the model at the peak, on top of "
        f"{format_bytes(memory.before_load)} for Python and the runtime"
    )
    if result.nodes_by is not None:
        _show_nodes(result.nodes, result.nodes_by)


def _show_pi(result: PiBenchmark) -> None:
    console, baseline = stdout(), result.baseline_instructions
    console.print(f"[bold]{escape(result.artifact.path)}[/bold] in the emulated {result.on.removeprefix('pi:')}")
    console.print(f"{result.core}, 1 thread; instructions of one inference, which are no measure of milliseconds")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("instructions", "artifact", *(("float model", "ratio") if baseline is not None else ())):
        table.add_column(heading, justify="left" if heading == "instructions" else "right")
    for name, label in _CLASSES.items():
        table.add_row(label, *_cells(result.instructions, baseline, name))
    console.print(table)
    console.print(f"outputs      {_agreement(result.outputs)}")
    if result.baseline is not None and result.baseline_outputs is not None:
        console.print(f"float model  {_agreement(result.baseline_outputs)}")
        console.print(f"             {_told(result.baseline)}", soft_wrap=True)
    if result.nodes_by is not None:
        _show_nodes(result.nodes, result.nodes_by)


def _cells(artifact: Instructions, baseline: Instructions | None, name: str) -> list[str]:
    count = getattr(artifact, name)
    if baseline is None:
        return [f"{count:,}"]
    other = getattr(baseline, name)
    return [f"{count:,}", f"{other:,}", f"{count / other:.3f}" if other else "-"]


def _show_nodes(nodes: Sequence[NodeTime] | Sequence[NodeInstructions], method: Method) -> None:
    table = Table(title=f"operators, {_METHODS[method]}", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("operator", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("node of the source", no_wrap=True, max_width=_NAME_WIDTH)
    for node in nodes:
        cost = f"{node.microseconds:,.2f} us" if isinstance(node, NodeTime) else f"{node.instructions.total:,}"
        table.add_row(node.kind, cost, f"{node.share:.1%}", escape(node.source or "-"))
    stdout().print(table)


def _spread(spread: Spread) -> str:
    return f"{spread.median_ms:.3f} ms (median; tenth percentile {spread.p10_ms:.3f} ms)"


def _told(baseline: ModelEntry) -> str:
    return escape(baseline.path) + (", exported to the artifact's format" if baseline.converted else "")


def _agreement(outputs: OutputAgreement) -> str:
    if outputs.verdict == "equal":
        return "equal to this host's in every value"
    within = "within" if outputs.verdict == "close" else "beyond"
    return f"differ from this host's by up to {outputs.max_abs:.3g}, {within} the tolerance of {outputs.tolerance:.3g}"
