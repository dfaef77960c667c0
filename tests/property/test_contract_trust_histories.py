"""Random histories of a fleet: no floor of living keys sinks, and the owner is never locked out for good."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgefleet_contract import trust
from edgefleet_contract.errors import VerificationError
from edgefleet_contract.trust.floors import KeySet, height
from support.contract_samples import NOW
from support.trusting import Device, publish
from support.tuf_repository import Holders, TufRepository

ROLES = ("root", "targets", "timestamp", "snapshot", "assignment")
SKY = 1 << 40


def speakers(repository: TufRepository, what: str) -> KeySet:
    """Who speaks for a floor, as the repository's holders are."""
    named = {"sequence": "assignment", "timestamp": "timestamp", "snapshot": "snapshot"}
    role = getattr(repository, named.get(what, "targets")).role
    return KeySet(role.keyids, role.threshold)


class Histories(RuleBasedStateMachine):
    """An owner releases and rotates keys; a device comes and goes, and loses a file; an attacker replays and steals."""

    @initialize()
    def begin(self) -> None:
        self.ours = TufRepository()
        self.device = Device(self.ours)
        self.sequence, self.serial, self.floor_of_security = 0, 0, 0
        self.sent: list[tuple[TufRepository, str, int]] = []  # every state ever published, with what was assigned
        self.stolen = False
        self.reached: dict[tuple[str, str], tuple[KeySet, int]] = {}  # every entry that the floor ever had
        self.release(raises_security=False)

    @rule(raises_security=st.booleans())
    def release(self, raises_security: bool) -> None:
        self.serial += 1
        self.floor_of_security += raises_security
        self.path = publish(self.ours, self.serial, security_floor=self.floor_of_security)
        self.assign()

    @rule()
    def assign(self) -> None:
        """The server assigns the newest release, whether or not the device hears of it."""
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
        self.device.take(self.ours, self.path, self.sequence)

    @rule(chosen=st.integers(0, 1 << 16))
    def replay(self, chosen: int) -> None:
        """An attacker sends something of old; the invariant says that nothing sinks."""
        repository, path, sequence = self.sent[chosen % len(self.sent)]
        with suppress(VerificationError):
            self.device.take(repository, path, sequence)

    @rule()
    def lose_the_metadata(self) -> None:
        self.device.lose_metadata()

    @precondition(lambda self: self.device.store.kept)
    @rule()
    def lose_the_floor(self) -> None:
        """Not together with the metadata: then nothing is left to remember."""
        self.device.lose_floor()
        trust.refresh(self.device.store.kept[-1], NOW, self.device.store)

    @precondition(lambda self: not self.stolen)
    @rule()
    def steal_every_key_but_the_roots(self) -> None:
        thief = self.ours.copy()
        for what in ("timestamp", "snapshot", "targets", "role/digits"):
            thief.versions[what] = SKY
        self.device.take(thief, publish(thief, SKY, security_floor=SKY), SKY)
        self.stolen = True

    @precondition(lambda self: self.stolen)
    @rule()
    def replace_the_stolen_keys(self) -> None:
        """The owner comes back with the small numbers of before."""
        self.ours.replace_keys(**{role: Holders.fresh() for role in ROLES if role != "root"})
        self.stolen = False
        self.release(raises_security=False)
        self.device.take(self.ours, self.path, self.sequence)

    @invariant()
    def no_floor_of_living_keys_sinks(self) -> None:
        floor = self.device.store.floor()
        for key, value in floor.values.items():
            what, _, name = key.rpartition(":")
            _, before = self.reached.get((what, name), (None, 0))
            self.reached[what, name] = floor.keysets[name], max(value, before)
        for (what, _), (keyset, value) in self.reached.items():
            current = speakers(self.ours, what)
            if keyset.lives_on_in(current):
                # A floor that is reckoned anew lets the assignment acted on last come again.
                assert height(floor, what, current) >= value - (what == "sequence"), what


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
