"""What a worker of a cluster runs for an idea: a process of its own, as on this machine, which lives for that alone."""

from __future__ import annotations

import msgspec

from edgefleet_compiler.sweep.job import Job
from edgefleet_compiler.sweep.record import Idea
from edgefleet_compiler.sweep.worker import Worker


def run_errand(job: bytes, idea: bytes) -> bytes:
    """The encoded answer to an encoded idea.

    Args:
        job: Encoded, with its files.
        idea: To be evaluated.
    """
    worker = Worker(msgspec.msgpack.decode(job, type=Job))
    try:
        return msgspec.msgpack.encode(worker.evaluate(msgspec.msgpack.decode(idea, type=Idea)))
    finally:
        worker.close()
