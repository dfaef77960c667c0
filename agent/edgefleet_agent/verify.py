"""Verification in a process that lives for one question, so that what it needs does not stay in memory.

The child decides; it writes nothing. A raised floor comes back as part of its answer, and the agent makes it durable
before it acts: one process writes the data folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import msgspec

from edgefleet_contract import bundle as bundles
from edgefleet_contract import trust
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import (
    BundleMalformed,
    EdgefleetError,
    HashMismatch,
    VerificationError,
    WrongTarget,
    revive,
)
from edgefleet_contract.manifest import Manifest
from edgefleet_contract.trust import Accepted, Floor, Mark, Pins, ReleasedBundle, Time, TrustStore

_TIMEOUT_S = 300.0  # a board's storage may need this long to read a large bundle


class Memory(msgspec.Struct, frozen=True):
    """The device's memory of trust as it stands.

    Attributes:
        kept: The proof accepted last, if it is needed: where the floor is lost.
        acted_on: Of the assignment that the state record speaks of.
        confirmed: Every digest that the device has confirmed.
    """

    pins: Pins
    floor: Floor
    kept: bytes | None
    acted_on: Mark
    confirmed: list[str]


class AcceptQuestion(msgspec.Struct, frozen=True, tag=True):
    """What ``trust.accept`` needs."""

    assignment: bytes
    proof: bytes
    time: Time
    memory: Memory


class RefreshQuestion(msgspec.Struct, frozen=True, tag=True):
    """What ``trust.refresh`` needs."""

    proof: bytes
    time: Time
    memory: Memory


class BundleQuestion(msgspec.Struct, frozen=True, tag=True):
    """Whether the file at ``path`` is the assigned bundle, for this hardware; ``content_key`` opens a private one."""

    path: str
    assigned: ReleasedBundle
    hardware: str
    content_key: bytes | None = None


class AcceptAnswer(msgspec.Struct, frozen=True, tag=True):
    """Trust says yes, and the floor becomes this."""

    accepted: Accepted
    floor: Floor


class RefreshAnswer(msgspec.Struct, frozen=True, tag=True):
    """The metadata stand, and the floor becomes this."""

    floor: Floor


class BundleAnswer(msgspec.Struct, frozen=True, tag=True):
    """The bundle is the assigned one."""

    manifest: Manifest


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Verification says no.

    Attributes:
        error: What ``EdgefleetError.as_json`` gave.
        mark: Of the assignment, if the server did make it for this device; else None.
    """

    error: dict[str, object]
    mark: Mark | None = None


Question: TypeAlias = AcceptQuestion | RefreshQuestion | BundleQuestion
Answer: TypeAlias = AcceptAnswer | RefreshAnswer | BundleAnswer | Refusal

_QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_ANSWERS: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


class AssignmentRefused(Exception):
    """Trust says no to an assignment.

    Attributes:
        error: Why.
        mark: As in :class:`Refusal`.
    """

    def __init__(self, error: EdgefleetError, mark: Mark | None) -> None:
        super().__init__(error.text())
        self.error = error
        self.mark = mark


# --- the agent's side ------------------------------------------------------------------------------------------------


def accept(assignment: bytes, proof: bytes, time: Time, store: TrustStore, *, confirmed: list[str]) -> Accepted:
    """``trust.accept`` in a process of its own; floor and proof are durable when it returns.

    Args:
        assignment: As there.
        proof: As there.
        time: As the device knows it.
        store: As there.
        confirmed: Every digest for which ``store.has_confirmed`` holds.

    Raises:
        AssignmentRefused: Trust says no; the store is unchanged.
        DiskFailed: What was accepted cannot be remembered, so that nothing may be done.
    """
    answer = _ask(AcceptQuestion(assignment, proof, time, _memory(store, confirmed)))
    if isinstance(answer, Refusal):
        raise AssignmentRefused(revive(answer.error), answer.mark)
    assert isinstance(answer, AcceptAnswer)
    trust.remember(store, answer.floor, proof)
    return answer.accepted


def refresh(proof: bytes, time: Time, store: TrustStore, *, confirmed: list[str]) -> None:
    """``trust.refresh`` in a process of its own; floor and proof are durable when it returns.

    Args:
        proof: As there.
        time: As the device knows it.
        store: As there.
        confirmed: As in :func:`accept`.

    Raises:
        VerificationError: The metadata do not stand; the store is unchanged.
        DiskFailed: They cannot be remembered.
    """
    answer = _ask(RefreshQuestion(proof, time, _memory(store, confirmed)))
    if isinstance(answer, Refusal):
        raise revive(answer.error)
    assert isinstance(answer, RefreshAnswer)
    trust.remember(store, answer.floor, proof)


def check_bundle(path: Path, assigned: ReleasedBundle, hardware: str, content_key: bytes | None = None) -> Manifest:
    """The manifest of the file at ``path``, if it is the assigned bundle, byte for byte, and for this hardware.

    Args:
        path: The file, sealed if the bundle is private.
        assigned: What it must be.
        hardware: Of this device.
        content_key: Of a private bundle.

    Raises:
        VerificationError: It is not.
        BundleMalformed: It is no bundle.
    """
    answer = _ask(BundleQuestion(str(path), assigned, hardware, content_key))
    if isinstance(answer, Refusal):
        raise revive(answer.error)
    assert isinstance(answer, BundleAnswer)
    return answer.manifest


def _memory(store: TrustStore, confirmed: list[str]) -> Memory:
    floor = store.floor()
    return Memory(store.pins, floor, None if floor.root else store.proof(), store.acted_on(), confirmed)


def _ask(question: Question) -> Answer:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "edgefleet_agent.verify"],
            input=msgspec.msgpack.encode(question),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        return _ANSWERS.decode(done.stdout)
    except (subprocess.SubprocessError, OSError, msgspec.DecodeError) as cause:
        raise EdgefleetError(f"The verification process failed: {cause}") from cause


# --- the child's side ------------------------------------------------------------------------------------------------


class _LentStore:
    """The device's memory, as the question brought it; the raised floor is remembered for the answer."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._floor = memory.floor

    @property
    def pins(self) -> Pins:
        return self._memory.pins

    def floor(self) -> Floor:
        return self._floor

    def raise_floor(self, floor: Floor) -> None:
        self._floor = floor

    def proof(self) -> bytes | None:
        return self._memory.kept

    def keep_proof(self, proof: bytes) -> None:
        """The agent keeps it: it sent the proof."""

    def has_confirmed(self, digest: str) -> bool:
        return digest in self._memory.confirmed

    def acted_on(self) -> Mark:
        return self._memory.acted_on


def answer_question(question: Question) -> Answer:
    """Decide."""
    try:
        match question:
            case AcceptQuestion():
                return _decide_assignment(question)
            case RefreshQuestion():
                store = _LentStore(question.memory)
                trust.refresh(question.proof, question.time, store)
                return RefreshAnswer(store.floor())
            case BundleQuestion():
                return BundleAnswer(_inspect(question))
    except EdgefleetError as error:
        return Refusal(error.as_json())


def _decide_assignment(question: AcceptQuestion) -> Answer:
    store = _LentStore(question.memory)
    try:
        accepted = trust.accept(question.assignment, question.proof, question.time, store)
    except VerificationError as error:
        return Refusal(error.as_json(), _own_mark(question))
    return AcceptAnswer(accepted, store.floor())


def _own_mark(question: AcceptQuestion) -> Mark | None:
    """The mark of a refused assignment, if it is the server's, for this device, and not an old one."""
    try:
        mark, is_new = trust.addressed(question.assignment, question.proof, _LentStore(question.memory))
    except VerificationError:
        return None
    return mark if is_new and mark != question.memory.acted_on else None


def _inspect(question: BundleQuestion) -> Manifest:
    path, assigned = Path(question.path), question.assigned
    if bundles.transfer_digest(path) != (assigned.sha256, assigned.bytes):
        raise HashMismatch("The downloaded file is not the one that the release names", path=question.path)
    with Bundle(path, question.content_key) as bundle:
        if bundle.digest != assigned.digest:
            raise HashMismatch(
                f"The downloaded bundle has the digest {bundle.digest!r}", expected=repr(assigned.digest)
            )
        if question.hardware not in bundle.manifest.hardware:
            raise WrongTarget(
                f"The bundle is for {', '.join(bundle.manifest.hardware)}", expected=f"one for {question.hardware}"
            )
        if bundle.manifest.format == "c":
            raise BundleMalformed(
                "The bundle holds C sources for a microcontroller", expected="a .tflite or .onnx file"
            )
        bundle.verify()
        return bundle.manifest


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer_question(_QUESTIONS.decode(sys.stdin.buffer.read()))))
