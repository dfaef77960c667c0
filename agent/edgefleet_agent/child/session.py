"""What the inference child does with each request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_agent import frames
from edgefleet_agent.child import open_inference
from edgefleet_agent.child.contents import Contents
from edgefleet_agent.child.histograms import Histograms
from edgefleet_agent.child.model import Array, Model, forms_of, read_arrays, same_winner
from edgefleet_contract import cases

_WHILE_S = 0.5  # of a part of the vectors: between two parts, requests of callers get their turn


class Session:
    """A loaded slot, answering requests.

    Args:
        load: The first request.

    Raises:
        EdgefleetError: As :class:`Model`.
    """

    def __init__(self, load: frames.Load) -> None:
        self._contents = Contents(Path(load.slot), load.content_key)
        self._model = Model(self._contents, threads=load.threads)
        manifest = self._model.manifest
        self._histograms = Histograms(self._contents.read(manifest.reference), manifest) if manifest.reference else None
        self._file: tuple[str, dict[str, Array]] = ("", {})

    def answer(self, request: frames.Request) -> frames.Response:
        """The answer to one request.

        Raises:
            InputError: The request's data are not what the model takes.
            InferenceFailed: The runtime failed.
        """
        match request:
            case frames.Infer():
                return self._infer(request.body)
            case frames.RunGolden():
                return self._run_golden(request)
            case frames.RunVectors():
                return self._run_vectors(request)
            case frames.TakeSketch():
                return frames.SketchTaken(self._histograms.take() if self._histograms else None)
            case frames.Load():
                raise ValueError("a child loads one slot in its life")

    def _infer(self, body: bytes) -> frames.Inferred:
        request, arrays = open_inference.parse(body, self._model.manifest)
        columns = self._model.batch(arrays)
        rows, milliseconds = [], []
        for case in zip(*columns, strict=True):
            started = time.perf_counter()
            rows.append(self._model.run(case))
            milliseconds.append((time.perf_counter() - started) * 1e3)
            if self._histograms:
                self._histograms.add(case)
        outputs = [np.stack(output) for output in zip(*rows, strict=True)]
        return frames.Inferred(open_inference.respond(request, self._model.manifest, outputs), milliseconds)

    def _run_golden(self, part: frames.RunGolden) -> frames.GoldenRun:
        arrays = self._arrays(part.path, lambda: self._contents.file(part.path))
        columns = self._model.batch(_below("in/", arrays))
        rows = self._run_for_a_while(columns, part.start)
        expected = [_below("out/", arrays)[spec.name] for spec in self._model.manifest.outputs]
        worst, agreements = 0.0, 0
        for index, outputs in enumerate(rows, start=part.start):
            for seen, column in zip(outputs, expected, strict=True):
                distance = np.abs(seen.astype(np.float64) - column[index].reshape(seen.shape)).max(initial=0.0)
                worst = math.inf if np.isnan(distance) else max(worst, float(distance))
            agreements += same_winner(expected[0][index], outputs[0])
        return frames.GoldenRun(len(columns[0]), len(rows), worst, agreements)

    def _run_vectors(self, part: frames.RunVectors) -> frames.VectorsRun:
        arrays = self._arrays(part.path, lambda: Path(part.path))
        columns = self._model.batch(arrays)
        rows = self._run_for_a_while(columns, part.start)
        total, n = len(columns[0]), len(rows)
        outputs = b"".join(output.astype("<f4").tobytes() for row in rows for output in row)
        if rows[0][0].size < 2:
            return frames.VectorsRun(total, n, outputs, None, None)
        winners = [int(row[0].argmax()) for row in rows]
        labels = _labels(arrays, total)
        if labels is None:
            return frames.VectorsRun(total, n, outputs, winners, None)
        correct = [bool(winner == label) for winner, label in zip(winners, labels[part.start :], strict=False)]
        return frames.VectorsRun(total, n, outputs, winners, correct)

    def _run_for_a_while(self, columns: Sequence[Array], start: int) -> list[list[NDArray[np.float32]]]:
        """The outputs of the cases from ``start`` on, each from rest: of as many as there is time for, one at least."""
        until, rows = time.monotonic() + _WHILE_S, []
        for case in zip(*(column[start:] for column in columns), strict=True):
            self._model.rest()
            rows.append(self._model.run(case))
            self._model.rest()  # callers of the next inference must not find these cases in its memory
            if time.monotonic() >= until:
                return rows
        self._file = ("", {})  # all are done: their memory is not needed any more
        return rows

    def _arrays(self, path: str, find: Callable[[], Path | bytes]) -> Mapping[str, Array]:
        """The arrays of a file, kept from one part to the next."""
        if self._file[0] != path:
            self._file = (path, read_arrays(Path(path).name, find()))
        return self._file[1]


def _below(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _labels(arrays: Mapping[str, Array], total: int) -> Array | None:
    """One integer a case; None where there are none."""
    return arrays[cases.LABELS].reshape(-1) if cases.has_labels(forms_of(arrays), total) else None
