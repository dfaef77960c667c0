"""What every worker of a sweep is told once: the request, and on other machines the files, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from edgefleet_compiler.data import Normalisation
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pack.lineage import tool_versions
from edgefleet_hardware.profile import Format


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A request that travels; the fields that ``CompileOptions`` has, too, mean the same.

    Attributes:
        target: Name of a profile, or the path of the user's own.
        normalisation: Mean and deviation, each one number or one a channel; None if nothing was said.
        instructions: Whether instructions are counted for targets that have an emulated board.
        tools: Versions that results hang on, by name.
        files: Content by path, where a worker has to lay the files out itself; paths are relative then.
    """

    model: str
    target: str
    calibration: str | None
    validation: str | None
    metric: str | None
    format: Format | None
    io: Literal["float", "int8"] | None
    io_layout: Literal["source", "native"] | None
    max_drop: float | None
    seed: int
    input_shapes: dict[str, tuple[int, ...]]
    labels: tuple[str, ...]
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None
    instructions: bool
    tools: dict[str, str]
    files: dict[str, bytes] | None = None


def job_of(options: CompileOptions, *, instructions: bool) -> Job:
    """The job of a request, for workers of this machine."""
    given = options.normalisation
    return Job(
        model=str(options.model),
        target=options.targets[0],
        calibration=None if options.calibration is None else str(options.calibration),
        validation=None if options.validation is None else str(options.validation),
        metric=options.metric,
        format=options.format,
        io=options.io,
        io_layout=options.io_layout,
        max_drop=options.max_drop,
        seed=options.seed or 0,
        input_shapes=dict(options.input_shapes),
        labels=options.labels,
        normalisation=None if given is None else (given.mean, given.std),
        instructions=instructions,
        tools=tool_versions(),
    )


def options_of(job: Job, folder: Path) -> CompileOptions:
    """The request of a job.

    Args:
        job: With paths that lead on from ``folder``, or absolute ones.
        folder: Where the files are, if they came with the job; else the working folder.
    """
    target = str(folder / job.target) if job.target in (job.files or {}) else job.target
    return CompileOptions(
        model=folder / job.model,
        targets=(target,),
        out=folder,
        calibration=None if job.calibration is None else folder / job.calibration,
        validation=None if job.validation is None else folder / job.validation,
        metric=job.metric,
        format=job.format,
        io=job.io,
        io_layout=job.io_layout,
        max_drop=job.max_drop,
        seed=job.seed,
        input_shapes=job.input_shapes,
        labels=job.labels,
        normalisation=None if job.normalisation is None else Normalisation(*job.normalisation),
    )


def with_files(job: Job) -> Job:
    """A job that brings its files along, for workers that have none of our paths."""
    files: dict[str, bytes] = {}

    def packed(role: str, path: str | None) -> str | None:
        if path is None:
            return None
        place = f"{role}/{Path(path).name}"
        files.update(_contents(Path(path), place))
        return place

    target = packed("target", job.target) if Path(job.target).is_file() else job.target
    return replace(
        job,
        model=packed("model", job.model),
        target=target,
        calibration=packed("calibration", job.calibration),
        validation=packed("validation", job.validation),
        files=files,
    )


def lay_out(files: dict[str, bytes], folder: Path) -> None:
    """Write the files that came with a job."""
    for place, content in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _contents(path: Path, place: str) -> Iterator[tuple[str, bytes]]:
    """The content of a file, or of all files of a folder."""
    if not path.is_dir():
        yield place, path.read_bytes()
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield f"{place}/{file.relative_to(path).as_posix()}", file.read_bytes()


def differing_tools(job: Job) -> str:
    """What is here in another version than where the job comes from, in words; empty for nothing."""
    here = tool_versions()
    names = sorted({*here, *job.tools})
    differing = [name for name in names if here.get(name) != job.tools.get(name)]
    return ", ".join(f"{name} {here.get(name, 'none')}, not {job.tools.get(name, 'none')}" for name in differing)
