"""What the inference child does with each request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_agent import frames
from edgefleet_agent.child import open_inference
from edgefleet_agent.child.histograms import Histograms
from edgefleet_agent.child.model import Model, read_arrays, same_winner
from edgefleet_contract.errors import DataMalformed

_LABELS = "y"


class Session:
    """A loaded slot, answering requests.

    Args:
        load: The first request.

    Raises:
        EdgefleetError: As :class:`Model`.
    """

    def __init__(self, load: frames.Load) -> None:
        self._slot = Path(load.slot)
        self._model = Model(self._slot, threads=load.threads)
        manifest = self._model.manifest
        self._histograms = (
            Histograms((self._slot / manifest.reference).read_bytes(), manifest) if manifest.reference else None
        )
        self._vectors: tuple[str, dict[str, NDArray[np.generic]]] = ("", {})

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
                return self._run_golden(request.path)
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

    def _run_golden(self, path: str) -> frames.GoldenRun:
        arrays = read_arrays(self._slot / path)
        columns = self._model.batch(_below("in/", arrays))
        expected = [_below("out/", arrays)[spec.name] for spec in self._model.manifest.outputs]
        worst, agreements, n = 0.0, 0, len(columns[0])
        for index, case in enumerate(zip(*columns, strict=True)):
            outputs = self._model.run(case)
            for seen, column in zip(outputs, expected, strict=True):
                distance = np.abs(seen.astype(np.float64) - column[index].reshape(seen.shape)).max(initial=0.0)
                worst = float("inf") if np.isnan(distance) else max(worst, float(distance))
            agreements += same_winner(expected[0][index], outputs[0])
        return frames.GoldenRun(n, worst, agreements / n)

    def _run_vectors(self, part: frames.RunVectors) -> frames.VectorsRun:
        arrays = self._vectors_of(part.path)
        columns = self._model.batch(arrays)
        total, stop = len(columns[0]), part.start + part.count
        rows = [self._model.run(case) for case in zip(*(column[part.start : stop] for column in columns), strict=True)]
        if stop >= total:
            self._vectors = ("", {})  # the last part: their memory is not needed any more
        outputs = b"".join(output.astype("<f4").tobytes() for row in rows for output in row)
        if rows and rows[0][0].size < 2:
            return frames.VectorsRun(total, outputs, None, None)
        winners = [int(row[0].argmax()) for row in rows]
        labels = _labels(arrays, total)
        correct = (
            None if labels is None else [bool(w == y) for w, y in zip(winners, labels[part.start : stop], strict=True)]
        )
        return frames.VectorsRun(total, outputs, winners, correct)

    def _vectors_of(self, path: str) -> Mapping[str, NDArray[np.generic]]:
        """The arrays of the file, kept from one part to the next."""
        if self._vectors[0] != path:
            self._vectors = (path, read_arrays(Path(path)))
        return self._vectors[1]


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _labels(arrays: Mapping[str, NDArray[np.generic]], total: int) -> NDArray[np.generic] | None:
    """One integer a case; None where there are none (other targets are no labels)."""
    labels = arrays.get(_LABELS)
    if labels is None or labels.dtype.kind not in "biu":
        return None
    if labels.size != total:
        raise DataMalformed(f"The array {_LABELS!r} has {labels.size} labels", expected=f"{total}, one a case")
    return labels.reshape(-1)
