"""``edgefleet model benchmark``: what an inference costs here, or how many instructions it takes in an emulated Pi."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from edgefleet_compiler.cli.show import Json, print_json, shown_progress, stderr
from edgefleet_contract.errors import UsageMalformed
from edgefleet_hardware.pi.boards import BOARDS

if TYPE_CHECKING:
    from edgefleet_compiler.benchmark.record import HostBenchmark, PiBenchmark
    from edgefleet_compiler.progress import Progress

_HOST = "host"
_PI = "pi:"
_MOST_RUNS = 100_000


def benchmark(
    artifact: Annotated[
        Path,
        typer.Argument(help="A .tflite or .onnx file, a compiled folder of one target, or a bundle (.efb)."),
    ],
    *,
    on: Annotated[str, typer.Option(help=f"{_HOST}, or an emulated board: {_PI}{f', {_PI}'.join(BOARDS)}.")] = _HOST,
    against: Annotated[
        Path | None, typer.Option(help="The float model; by default the source that a compiled folder records.")
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MOST_RUNS, help="Inferences of each model; by default 200 on the host, 5 in an emulated board."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Of the runtime; on the host only.")] = 1,
    json: Json = False,
) -> None:
    """Measure an artifact against its float model: time and memory on this host, or instructions in an emulated Pi."""
    board = _board(on)
    if board is not None and threads != 1:
        raise UsageMalformed(f"--threads is {threads}", expected="1: instructions are counted exactly for one thread")
    with shown_progress() as progress:
        if board is None:
            result = _on_host(artifact, against, runs, threads, progress)
        else:
            result = _on_pi(artifact, against, runs, board, progress)
    if json:
        print_json(result)
    else:
        from edgefleet_compiler.cli.benchmark_tables import show_benchmark  # noqa: PLC0415 - loads numpy

        show_benchmark(result)
    for warning in result.warnings:
        stderr().print(f"[yellow]warning[/yellow]: {escape(warning)}", soft_wrap=True)


def _board(on: str) -> str | None:
    """The emulated board that is meant, or None for the host."""
    places = {_HOST: None} | {f"{_PI}{name}": name for name in BOARDS}
    if on not in places:
        raise UsageMalformed(f"--on is {on!r}, which no benchmark runs on", expected=f"one of {', '.join(places)}")
    return places[on]


def _on_host(
    artifact: Path, against: Path | None, runs: int | None, threads: int, progress: Progress
) -> HostBenchmark | PiBenchmark:
    # Imported when called: these load onnx, numpy and the runtimes.
    from edgefleet_compiler.benchmark.host import RUNS, benchmark_host  # noqa: PLC0415
    from edgefleet_compiler.benchmark.subject import open_subject  # noqa: PLC0415

    return benchmark_host(open_subject(artifact, against), progress, runs=runs or RUNS, threads=threads)


def _on_pi(
    artifact: Path, against: Path | None, runs: int | None, board: str, progress: Progress
) -> HostBenchmark | PiBenchmark:
    from edgefleet_compiler.benchmark.pi import RUNS, benchmark_pi  # noqa: PLC0415 - as above
    from edgefleet_compiler.benchmark.subject import open_subject  # noqa: PLC0415 - as above
    from edgefleet_hardware.pi.emulator import open_pi  # noqa: PLC0415 - only where it is asked for

    pi = open_pi(board)  # before the model, as it may not be there
    return benchmark_pi(open_subject(artifact, against), pi, progress, runs=runs or RUNS)
