"""The process of a worker: reads a job, then ideas, and answers each; it ends when whoever started it is gone.

Run: ``python -m edgefleet_compiler.sweep.child``, with messages of ``channel`` on stdin and stdout.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from edgefleet_compiler.sweep.bench import Bench, open_subject
from edgefleet_compiler.sweep.channel import Answer, Refused, receive, send
from edgefleet_compiler.sweep.job import Job, differing_tools, lay_out, options_of
from edgefleet_compiler.sweep.record import Evaluation, Idea
from edgefleet_contract.errors import EdgefleetError, UsageMalformed


def main() -> None:
    """Serve one job."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    questions: queue.Queue[bytes] = queue.Queue()
    message = receive(sys.stdin.buffer)
    if message is None:
        return
    job = msgspec.msgpack.decode(message, type=Job)
    folder = Path(tempfile.mkdtemp(prefix="edgefleet-")) if job.files is not None else None
    threading.Thread(target=_listen, args=(sys.stdin.buffer, questions, folder), daemon=True).start()
    with suppress(OSError):  # nobody is left to hear the answer
        _serve(job, folder, questions, answers)


def _listen(pipe: BinaryIO, questions: queue.Queue[bytes], folder: Path | None) -> None:
    """Take ideas while others are worked on; at their end, end everything at once."""
    while (message := receive(pipe)) is not None:
        questions.put(message)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _serve(job: Job, folder: Path | None, questions: queue.Queue[bytes], answers: BinaryIO) -> None:
    """Answer until the process is ended."""
    try:
        evaluate = _open(job, folder).evaluate
    except EdgefleetError as error:
        refused = Refused(error.as_json())
        while questions.get():
            send(answers, refused)
    while True:
        idea = msgspec.msgpack.decode(questions.get(), type=Idea)
        send(answers, _answer(evaluate, idea))


def _answer(evaluate: Callable[[Idea], Evaluation], idea: Idea) -> Answer:
    try:
        return evaluate(idea)
    except EdgefleetError as error:
        return Refused(error.as_json())


def _open(job: Job, folder: Path | None) -> Bench:
    if differing := differing_tools(job):
        raise UsageMalformed(
            f"A worker has other versions than this machine: {differing}",
            expected="the same everywhere, for the same artifacts",
            remedy="Install the same versions on the workers.",
        )
    if job.instructions:
        os.environ["EDGEFLEET_PI_EVIDENCE"] = "1"
    if folder is not None and job.files is not None:
        lay_out(job.files, folder)
    return Bench(open_subject(options_of(job, folder or Path())))


if __name__ == "__main__":
    main()
