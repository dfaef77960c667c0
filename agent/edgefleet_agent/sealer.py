"""Makes sealed samples of requests, beside the serving of requests: a thread that asks a child for each."""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import threading

import msgspec

from edgefleet_agent.clock import Clock
from edgefleet_agent.outbox import Outbox
from edgefleet_contract import manifest as manifests
from edgefleet_contract.errors import EdgefleetError, InferenceFailed, revive
from edgefleet_contract.manifest import Manifest

log = logging.getLogger(__name__)

_TIMEOUT_S = 60.0  # of one sample: reading, redaction and sealing
_WAITING = 4  # requests at most; a busy device samples less than it was asked to


class Question(msgspec.Struct, frozen=True):
    """A request that the child makes a sample of.

    Attributes:
        body: Of the Open Inference Protocol.
        manifest: Of the bundle that answered it; it carries the consent.
        hooks: As the setting ``redact`` has them.
        device: As in ``samples.Label``.
        digest: As there.
        taken: As there.
    """

    body: bytes
    manifest: bytes
    hooks: str
    device: str
    digest: str
    taken: int


class Answer(msgspec.Struct, frozen=True):
    """The sealed sample, empty where the hooks left nothing; or what went wrong, as ``EdgefleetError.as_json``."""

    sealed: bytes = b""
    error: dict[str, object] | None = None


class Sealer:
    """Takes requests from any thread; none waits for it.

    Args:
        outbox: Takes the sealed samples.
        device: The device id.
        hooks: The setting ``redact``.
        clock: For the time a sample was taken.
    """

    def __init__(self, outbox: Outbox, device: str, hooks: str, clock: Clock) -> None:
        self._outbox = outbox
        self._device = device
        self._hooks = hooks
        self._clock = clock
        self._waiting: queue.Queue[tuple[bytes, str, Manifest, int]] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def offer(self, body: bytes, digest: str, manifest: Manifest) -> bool:
        """Make a sample of a request, soon; returns whether there was room for it.

        Args:
            body: As it came.
            digest: Of the bundle that answered.
            manifest: Of that bundle.
        """
        try:
            self._waiting.put_nowait((body, digest, manifest, self._clock.now_ms()))
        except queue.Full:
            return False
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)
                self._thread.start()
        return True

    def join(self) -> None:
        """Wait until all that was taken is sealed or lost."""
        self._waiting.join()

    def _run(self) -> None:
        while True:
            body, digest, manifest, taken = self._waiting.get()
            try:
                sealed = self._ask(body, digest, manifest, taken)
                if sealed and not self._outbox.add(sealed):
                    log.warning("sample lost: %d bytes are more than one may have", len(sealed))
            except EdgefleetError as error:
                log.warning("sample lost code=%s: %s", error.code, error)
            finally:
                self._waiting.task_done()

    def _ask(self, body: bytes, digest: str, manifest: Manifest, taken: int) -> bytes:
        """The sealed sample, made in a child, for numpy and the owner's hooks have no place in the agent."""
        question = Question(body, manifests.encode(manifest), self._hooks, self._device, digest, taken)
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "edgefleet_agent.child.sampling"],
                input=msgspec.msgpack.encode(question),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_S,
                check=True,
            )
            answer = msgspec.msgpack.decode(done.stdout, type=Answer)
        except (subprocess.SubprocessError, OSError, msgspec.DecodeError) as cause:
            raise InferenceFailed(f"The sampling process failed: {cause}") from cause
        if answer.error is not None:
            raise revive(answer.error)
        return answer.sealed
