"""Fuzz one reader with atheris: coverage-guided, under limits of time and memory for each input.

Run: ``python tests/fuzz/run.py TARGET [--seconds 60] [--work FOLDER]``. The corpus grows in FOLDER and is kept; an
input that fails is left there as ``crash-…``, ``timeout-…`` or ``oom-…``, and is run again with ``--input FILE``. Exit
status 0 means that every input was read, or refused by a documented error.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["edgefleet_compiler", "edgefleet_contract"]):
    from support.fuzz_targets import TARGETS  # what it imports is what coverage guides

SECONDS_PER_INPUT = 20
MEGABYTES = 1024  # of resident memory, ours and that of the libraries loaded; the refused inputs ask for gigabytes
ADDRESS_SPACE = 6 * 2**30  # bytes: no library may reserve what it only later touches
LARGEST_INPUT = 1 << 16  # bytes


def main() -> None:
    """Fuzz until the time is over, or until an input fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="How long; 0 for ever.")
    parser.add_argument("--work", type=Path, help="Where the corpus grows; a temporary folder by default.")
    parser.add_argument("--input", type=Path, help="Run this one input and no other.")
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    folder = arguments.work or Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for name, data in target.seeds().items():
        (corpus / f"seed-{name}").write_bytes(data)
    warnings.simplefilter("error")  # one on a user's screen is a finding, too
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    options = [
        f"-max_total_time={arguments.seconds}", f"-timeout={SECONDS_PER_INPUT}", f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LARGEST_INPUT}", f"-artifact_prefix={folder}/", "-print_final_stats=1", "-seed=1",
    ]  # fmt: skip
    atheris.Setup(
        [sys.argv[0], *options, str(arguments.input or corpus)],
        target.run,
        custom_mutator=lambda data, size, seed: target.mutate(data, size, seed, atheris.Mutate),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
