"""A sweep from its request to its front."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from edgefleet_compiler.benchmark.evidence import is_wanted, require_boards
from edgefleet_compiler.pack.lineage import tool_versions
from edgefleet_compiler.sweep.address import check_address
from edgefleet_compiler.sweep.asked import Asked
from edgefleet_compiler.sweep.bench import Bench, Subject, open_subject
from edgefleet_compiler.sweep.channel import Refused
from edgefleet_compiler.sweep.files import write_results
from edgefleet_compiler.sweep.folder import SweepFolder, sweep_folder
from edgefleet_compiler.sweep.front import front_of
from edgefleet_compiler.sweep.job import job_of, with_files
from edgefleet_compiler.sweep.local import Workers, local_workers
from edgefleet_compiler.sweep.options import SweepOptions
from edgefleet_compiler.sweep.plan import finer_ideas, first_ideas, scope_of, sweep_rungs
from edgefleet_compiler.sweep.progress import SweepProgress
from edgefleet_compiler.sweep.record import Candidate, Evaluation, Idea
from edgefleet_compiler.sweep.results import Results
from edgefleet_contract import canonical
from edgefleet_contract.errors import RecipeUnfit, UsageMalformed, revive


def sweep(options: SweepOptions, progress: SweepProgress) -> Results:
    """Evaluate candidates until there are as many as were asked for, and write the front.

    What an earlier start of the same request left in the folder is not evaluated again.

    Args:
        options: The request.
        progress: Told of every candidate.

    Raises:
        EdgefleetError: The request, the model, the data or the folder cannot be used; or no candidate gave an artifact.
    """
    _check(options)
    subject = open_subject(options.compile)
    require_boards([subject.profile])
    rungs = sweep_rungs(options.compile, subject.profile, subject.source)
    scope = scope_of(rungs, calibrated=subject.data.calibration is not None)
    Bench(subject)  # refuses what no worker could work with, before anything is written
    with _workers(options, subject) as workers, sweep_folder(options.compile.out, _asked(subject)) as folder:
        evaluate = _Round(folder, workers, progress)
        candidates: list[Candidate] = []
        ideas = first_ideas(scope)
        while ideas and len(candidates) < options.points:
            room = options.points - len(candidates)
            progress.planned(min(options.points, len(candidates) + len(ideas)))
            candidates += evaluate(ideas[:room], first=len(candidates) + 1)
            front = [candidate.idea for candidate in front_of(candidates)]
            ideas = finer_ideas(scope, front, {candidate.idea for candidate in candidates})
        results = Results(subject.source.sha256, subject.profile.name, options.compile.seed or 0, candidates)
        _require_measured(results)
        write_results(results, options, folder)
    return results


@dataclass(frozen=True)
class _Round:
    """Evaluates ideas of which none waits for another."""

    folder: SweepFolder
    workers: Workers
    progress: SweepProgress

    def __call__(self, ideas: Sequence[Idea], *, first: int) -> list[Candidate]:
        """The candidates in the order of their ideas, which is that of their numbers."""
        numbers = {idea: number for number, idea in enumerate(ideas, start=first)}
        done = {idea: known for idea, number in numbers.items() if (known := self.folder.known(number, idea))}
        for candidate in done.values():
            self.progress.done(candidate)
        for idea, answer in self.workers.answers([idea for idea in ideas if idea not in done]):
            if isinstance(answer, Refused):
                raise revive(answer.error)
            done[idea] = Candidate(number=numbers[idea], idea=idea, evaluation=answer)
            self.folder.keep(done[idea])
            self.progress.done(done[idea])
        return [done[idea] for idea in ideas]


def _check(options: SweepOptions) -> None:
    for option, number in (("--points", options.points), ("--jobs", options.jobs)):
        if number < 1:
            raise UsageMalformed(f"{option} is {number}", expected="at least 1")
    if options.scheduler is not None:
        check_address(options.scheduler)


def _asked(subject: Subject) -> Asked:
    options, data = subject.options, subject.data
    named = {
        "metric": options.metric,
        "format": options.format,
        "io": options.io,
        "io-layout": options.io_layout,
        "max-drop": options.max_drop,
        "input-shapes": options.input_shapes or None,
        "labels": options.labels or None,
        "normalisation": options.normalisation,
        "instructions": is_wanted(subject.profile) or None,
    }
    return Asked(
        source_sha256=subject.source.sha256,
        target=subject.profile.name,
        profile_sha256=canonical.sha256(msgspec.json.encode(subject.profile)),
        calibration_sha256=None if data.calibration is None else data.calibration.sha256,
        validation_sha256=None if data.validation is None else data.validation.sha256,
        options={name: str(value) for name, value in named.items() if value is not None},
        seed=options.seed or 0,
        tools=tool_versions(),
    )


def _workers(options: SweepOptions, subject: Subject) -> AbstractContextManager[Workers]:
    job = job_of(options.compile, instructions=is_wanted(subject.profile))
    if options.scheduler is None:
        return local_workers(job, options.jobs)
    from edgefleet_compiler.sweep.cluster import cluster_workers  # noqa: PLC0415 - an extra of its own

    return cluster_workers(with_files(job), options.scheduler)


def _require_measured(results: Results) -> None:
    if not results.front:
        first = results.candidates[0]
        raise RecipeUnfit(
            f"None of {len(results.candidates)} candidates gave an artifact that {results.target!r} runs; "
            f"{first.idea.name}: {first.evaluation.why or ', '.join(_codes(first.evaluation))}",
            target=results.target,
        )


def _codes(evaluation: Evaluation) -> list[str]:
    return [] if evaluation.figures is None else evaluation.figures.refusals
