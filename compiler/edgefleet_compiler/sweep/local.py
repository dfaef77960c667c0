"""Workers of this machine."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Protocol

from edgefleet_compiler.sweep.channel import Answer
from edgefleet_compiler.sweep.job import Job
from edgefleet_compiler.sweep.record import Idea
from edgefleet_compiler.sweep.worker import Worker


class Workers(Protocol):
    """Those who evaluate ideas, wherever they are."""

    def answers(self, ideas: Sequence[Idea]) -> Iterator[tuple[Idea, Answer]]:
        """Have ideas evaluated at the same time; each with its answer, as they come."""


@contextmanager
def local_workers(job: Job, count: int) -> Iterator[Workers]:
    """So many processes, which live as long as the block."""
    workers = [Worker(job) for _ in range(count)]
    executor = ThreadPoolExecutor(max_workers=count, thread_name_prefix="sweep")
    try:
        yield _Local(workers, executor)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()
        executor.shutdown()


class _Local:
    def __init__(self, workers: Sequence[Worker], executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in workers:
            self._idle.put(worker)

    def answers(self, ideas: Sequence[Idea]) -> Iterator[tuple[Idea, Answer]]:
        """See ``Workers``."""
        asked = {self._executor.submit(self._answer, idea): idea for idea in ideas}
        for future in as_completed(asked):
            yield asked[future], future.result()

    def _answer(self, idea: Idea) -> Answer:
        worker = self._idle.get()
        try:
            return worker.evaluate(idea)
        finally:
            self._idle.put(worker)
