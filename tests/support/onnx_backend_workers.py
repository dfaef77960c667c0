"""The whole backend suite, by processes beside this one: a runtime that aborts takes down one test and no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection

from support.onnx_backend import FORMATS, Outcome, cases, operator_of, outcomes_of

WORKERS = 2


@cache
def outcomes() -> tuple[Outcome, ...]:
    """What becomes of every test of the suite, in its order and in each format."""
    numbers = range(len(cases()))
    with ThreadPoolExecutor(WORKERS) as threads:
        shares = list(threads.map(lambda share: list(_share(list(numbers[share::WORKERS]))), range(WORKERS)))
    by_number = dict(chain.from_iterable(shares))
    return tuple(chain.from_iterable(by_number[number] for number in numbers))


def _share(numbers: list[int]) -> Iterator[tuple[int, list[Outcome]]]:
    """The outcomes of some tests by their number; a worker that dies is followed by another."""
    done = 0
    while done < len(numbers):
        for answer in _worked(numbers[done:]):
            yield numbers[done], answer
            done += 1
        if done < len(numbers):
            case = cases()[numbers[done]]
            died = [Outcome(case.name, operator_of(case), each, "failed", "the process died") for each in FORMATS]
            yield numbers[done], died
            done += 1


def _worked(numbers: list[int]) -> Iterator[list[Outcome]]:
    """The outcomes of the tests in their order, as far as one worker comes."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(there, numbers), daemon=True)
    worker.start()
    there.close()
    try:
        for _ in numbers:
            yield here.recv()
    except EOFError:
        return
    finally:
        here.close()
        worker.join()


def _work(answers: Connection, numbers: list[int]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a runtime says before it aborts
    for number in numbers:
        answers.send(outcomes_of(cases()[number]))
