"""The agent's end of an inference child: starts it, asks it, and ends it when it does not answer.

A model can crash or hang a runtime, or take all memory while it loads. In a process of its own, with a limit on its
address space and a time for each answer, it costs one failed request instead of the agent.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from edgefleet_agent import frames
from edgefleet_contract.errors import InferenceFailed, revive

Answer = TypeVar("Answer", frames.Loaded, frames.Inferred, frames.GoldenRun, frames.VectorsRun, frames.SketchTaken)


@dataclass(frozen=True)
class Limits:
    """What a child may take.

    Attributes:
        memory_bytes: Address space of runtime and model.
        load_timeout_s: For starting, and loading the artifact.
        answer_timeout_s: For each answer: one request of a caller, or one case of vectors.
        threads: Of the runtime.
    """

    memory_bytes: int = 1 << 30
    load_timeout_s: float = 120.0
    answer_timeout_s: float = 60.0
    threads: int = 1


class InferenceChild:
    """A process that has loaded one slot. Its methods may be called from any thread; answers come one at a time.

    Args:
        slot: Folder of an unpacked bundle.
        limits: What it may take.
        content_key: Of a private bundle: the child opens it in its memory, never on the disk.

    Raises:
        SealBroken: The content key is not the slot's.
        InferenceFailed: The artifact does not load within the limits.
        RuntimeUnavailable: Its runtime is not installed.
    """

    def __init__(self, slot: Path, limits: Limits, content_key: bytes | None = None) -> None:
        self._limits = limits
        self._turn = threading.Lock()
        self._channel, other = socket.socketpair()
        with other:
            self._process = _start_process(self._channel, other)
        try:
            load = frames.Load(str(slot), limits.memory_bytes, limits.threads, content_key)
            self._ask(load, frames.Loaded, limits.load_timeout_s)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> InferenceChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def infer(self, body: bytes) -> frames.Inferred:
        """Run an Open Inference Protocol request.

        Raises:
            InputError: The request is not what the model takes.
            InferenceFailed: The runtime failed, or the child died or hung; then :attr:`is_alive` is false.
        """
        return self._ask(frames.Infer(body), frames.Inferred, self._limits.answer_timeout_s)

    def run_golden(self, path: str, start: int) -> frames.GoldenRun:
        """Run a part of the golden vectors at ``path`` of the slot; errors as :meth:`infer`."""
        return self._ask(frames.RunGolden(path, start), frames.GoldenRun, self._limits.answer_timeout_s)

    def run_vectors(self, path: Path, start: int) -> frames.VectorsRun:
        """Run a part of the rollout vectors in the file ``path``; errors as :meth:`infer`."""
        return self._ask(frames.RunVectors(str(path), start), frames.VectorsRun, self._limits.answer_timeout_s)

    def take_sketch(self) -> frames.SketchTaken:
        """The sketch of the inputs since the last time; errors as :meth:`infer`."""
        return self._ask(frames.TakeSketch(), frames.SketchTaken, self._limits.answer_timeout_s)

    def retire(self) -> None:
        """End the process once the answer that it is about is out."""
        with self._turn:
            self.close()

    def close(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _ask(self, request: frames.Request, kind: type[Answer], timeout_s: float) -> Answer:
        with self._turn:
            response = self._exchange(request, timeout_s)
        if isinstance(response, frames.Fault):
            raise revive(response.error)
        if not isinstance(response, kind):
            self.close()
            raise InferenceFailed(f"The inference child answered with a {type(response).__name__}")
        return response

    def _exchange(self, request: frames.Request, timeout_s: float) -> frames.Response:
        try:
            self._channel.settimeout(timeout_s)
            frames.send(self._channel, request)
            return frames.receive_response(self._channel)
        except TimeoutError as cause:
            self.close()
            raise InferenceFailed(
                f"The model did not answer within {timeout_s:g} s", remedy="It was stopped and is started again."
            ) from cause
        except (EOFError, OSError, msgspec.DecodeError) as cause:
            self.close()
            raise InferenceFailed(
                f"The inference child died with {_cause_of_death(self._process.returncode)}",
                remedy="It is started again.",
            ) from cause


def _start_process(channel: socket.socket, other: socket.socket) -> subprocess.Popen[bytes]:
    """The child, which has the ``other`` end of the agent's ``channel``."""
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "edgefleet_agent.child", str(other.fileno())],
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("EDGEFLEET_DEBUG") == "1" else subprocess.DEVNULL,
            env=_environment(),
        )
    except OSError as cause:
        channel.close()
        raise InferenceFailed(f"The inference child cannot be started: {cause}") from cause


def _environment() -> dict[str, str]:
    """The child's environment: no telemetry, and no thread pool of numpy's, which would count as the model's memory."""
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}


def _cause_of_death(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
