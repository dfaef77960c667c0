"""Workers of a Dask cluster: model and data travel to them by content, and their answers are those of this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager

import msgspec
from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm import CommClosedError

from edgefleet_compiler.sweep.channel import Answer
from edgefleet_compiler.sweep.errand import run_errand
from edgefleet_compiler.sweep.job import Job
from edgefleet_compiler.sweep.local import Workers
from edgefleet_compiler.sweep.record import Evaluation, Idea
from edgefleet_contract.errors import ClusterUnreachable

_PATIENCE_S = 10
_GONE = (CancelledError, CommClosedError, TimeoutError)


@contextmanager
def cluster_workers(job: Job, address: str) -> Iterator[Workers]:
    """The workers of a scheduler, as long as the block runs.

    Args:
        job: With its files.
        address: Of the scheduler, ``tcp://host:port``.

    Raises:
        ClusterUnreachable: The scheduler does not answer, has no workers, or hangs up in the meantime.
    """
    _silence()
    try:
        client = Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as cause:
        raise _unreachable(address, "does not answer", cause) from cause
    try:
        yield _Cluster(client, address, _encoded(client, job, address))
    finally:
        client.close()


def _silence() -> None:
    """Let the library's loggers say nothing: what goes wrong is told once, by our error."""
    for name in logging.root.manager.loggerDict:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _encoded(client: Client, job: Job, address: str) -> Future:
    """The job on every worker, so that it outlives most of them."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE_S)
        return client.scatter(msgspec.msgpack.encode(job), broadcast=True)
    except _GONE as cause:
        raise _unreachable(address, "has no workers", cause) from cause


class _Cluster:
    def __init__(self, client: Client, address: str, job: Future) -> None:
        self._client = client
        self._address = address
        self._job = job

    def answers(self, ideas: Sequence[Idea]) -> Iterator[tuple[Idea, Answer]]:
        """See ``Workers``; the scheduler gives what a worker was at when it died to another."""
        submit = self._client.submit
        errands = [submit(run_errand, self._job, msgspec.msgpack.encode(idea), pure=False) for idea in ideas]
        asked = dict(zip(errands, ideas, strict=True))
        for future in as_completed(errands, loop=self._client.loop):
            yield asked[future], self._answer(future)

    def _answer(self, future: Future) -> Answer:
        try:
            answer: Answer = msgspec.msgpack.decode(future.result(), type=Answer)
        except KilledWorker as cause:
            return Evaluation(outcome="failed", why=f"Worker after worker died of it: {cause}")
        except _GONE as cause:
            raise _unreachable(self._address, "hung up, or lost the model with its last worker", cause) from cause
        return answer


def _unreachable(address: str, what: str, cause: BaseException) -> ClusterUnreachable:
    return ClusterUnreachable(
        f"The Dask scheduler at {address!r} {what}: {str(cause) or type(cause).__name__}",
        remedy="Start one with `dask scheduler`, and workers with `dask worker ADDRESS`. What is done already is kept.",
        scheduler=address,
    )
