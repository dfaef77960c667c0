"""Random histories of a fleet: no floor of living keys sinks, and the owner is never locked out for good."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from edgefleet_contract.errors import VerificationError
from edgefleet_contract.trust.floors import KeySet
from support.trusting import Device, publish
from support.tuf_repository import Holders, TufRepository

WHATS = ("sequence", "timestamp", "snapshot", "targets", "role/digits", "security/digits")
ROLES = ("root", "targets", "timestamp", "snapshot", "assignment")
SKY = 1 << 40


def speakers(repository: TufRepository, what: str) -> KeySet:
    """Who speaks for a floor, as the repository's holders are."""
    named = {"sequence": "assignment", "timestamp": "timestamp", "snapshot": "snapshot"}
    role = getattr(repository, named.get(what, "targets")).role
    return KeySet(role.keyids, role.threshold)


def lives_on(earlier: KeySet, later: KeySet) -> bool:
    """Whether those of the earlier keys that are gone could not have spoken alone; said here once more, on purpose."""
    gone = [keyid for keyid in earlier.keyids if keyid not in later.keyids]
    return len(gone) < earlier.threshold


class Histories(RuleBasedStateMachine):
    """An owner releases and rotates keys; a device loses files; an attacker replays, assigns anew and steals."""

    @initialize()
    def begin(self) -> None:
        self.ours = TufRepository()
        self.device = Device(self.ours)
        self.sequence, self.serial, self.floor_of_security = 0, 0, 0
        self.sent: list[tuple[TufRepository, str, int]] = []  # every state ever published, with what was assigned
        self.stolen = False
        self.reached: list[tuple[str, KeySet, int]] = []  # every number that the device ever believed, by its keys
        for _ in range(2):
            self.release(raises_security=False)
            self.hear_the_newest()

    def tell(self, repository: TufRepository, path: str, sequence: int) -> None:
        """Send something. Where the device believes it, nothing may be below what living keys said before."""
        accepted = self.device.take(repository, path, sequence)
        assert accepted.release is not None
        told = {**repository.versions, "sequence": sequence, "security/digits": accepted.release.security_floor}
        for what, keyset, value in self.reached:
            assert told[what] >= value or not lives_on(keyset, speakers(repository, what)), what
        self.reached += [(what, speakers(repository, what), told[what]) for what in WHATS]

    @rule(raises_security=st.booleans())
    def release(self, raises_security: bool) -> None:
        self.serial += 1
        self.floor_of_security += raises_security
        self.path = publish(self.ours, self.serial, security_floor=self.floor_of_security)
        self.assign()

    @rule()
    def assign(self) -> None:
        """The server signs and assigns the newest release, whether or not the device hears of it."""
        self.ours.sign_online()
        self.sequence += 1
        self.sent.append((self.ours.copy(), self.path, self.sequence))

    @rule(role=st.sampled_from(ROLES), count=st.integers(1, 3), keep=st.integers(0, 2))
    def replace_some_keys(self, role: str, count: int, keep: int) -> None:
        kept = getattr(self.ours, role).private[:keep]
        private = (*kept, *Holders.fresh(count).private)
        self.ours.replace_keys(**{role: Holders(private, min(2, len(private)))})
        self.assign()

    @precondition(lambda self: not self.stolen)
    @rule()
    def hear_the_newest(self) -> None:
        """The device is never locked out of what its owner sends."""
        self.tell(self.ours, self.path, self.sequence)

    @rule(chosen=st.integers(0, 1 << 16))
    def replay(self, chosen: int) -> None:
        """An attacker sends something of old, as it was."""
        with suppress(VerificationError):
            self.tell(*self.sent[chosen % len(self.sent)])

    @precondition(lambda self: not self.stolen)
    @rule(chosen=st.integers(0, 1 << 16))
    def assign_something_of_old(self, chosen: int) -> None:
        """An attacker who has the assignment key sends old metadata with a new assignment; the server goes on above."""
        repository, path, _ = self.sent[chosen % len(self.sent)]
        forged = repository.copy()
        forged.assignment = self.ours.assignment
        with suppress(VerificationError):
            self.tell(forged, path, self.sequence + 1)
        self.sequence += 1
        self.assign()

    @precondition(lambda self: self.device.store.raised)
    @rule()
    def lose_the_metadata(self) -> None:
        """Not together with the floor: then nothing is left to remember."""
        self.device.lose_metadata()

    @precondition(lambda self: self.device.store.kept)
    @rule()
    def lose_the_floor(self) -> None:
        self.device.lose_floor()

    @precondition(lambda self: not self.stolen)
    @rule()
    def steal_every_key_but_the_roots(self) -> None:
        thief = self.ours.copy()
        thief.versions |= dict.fromkeys(("timestamp", "snapshot", "targets", "role/digits"), SKY)
        self.tell(thief, publish(thief, SKY, security_floor=SKY), SKY)
        self.stolen = True

    @precondition(lambda self: self.stolen)
    @rule()
    def replace_the_stolen_keys(self) -> None:
        """The owner comes back with the small numbers of before."""
        self.ours.replace_keys(**{role: Holders.fresh() for role in ROLES if role != "root"})
        self.stolen = False
        self.release(raises_security=False)
        self.tell(self.ours, self.path, self.sequence)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
