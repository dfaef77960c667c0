"""The running agent: all parts wired together, and the loop that gives each its turn."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
from collections.abc import Callable
from typing import Protocol

from edgefleet_agent import detection, status
from edgefleet_agent.certificate_watch import CertificateWatch
from edgefleet_agent.clock import Clock, SystemClock, TrustedClock
from edgefleet_agent.clock_confirmation import ClockConfirmation
from edgefleet_agent.config import Config
from edgefleet_agent.deployment import Deployment
from edgefleet_agent.disk import Disk
from edgefleet_agent.download import Downloads
from edgefleet_agent.fetch import Fetcher
from edgefleet_agent.fingerprint import read_fingerprint
from edgefleet_agent.folder import DataFolder, Lock, RunningAgent
from edgefleet_agent.identity import Identity
from edgefleet_agent.inbox import Connected, Inbox, Item, Received, Stop
from edgefleet_agent.jitter import Backoff
from edgefleet_agent.judgement import may_be_the_clocks
from edgefleet_agent.outbox import Outbox
from edgefleet_agent.parts import Parts
from edgefleet_agent.private import ContentKeys
from edgefleet_agent.record import load_record
from edgefleet_agent.sample_uplink import SampleUplink
from edgefleet_agent.sampling import Sampler
from edgefleet_agent.sealer import Sealer
from edgefleet_agent.served import ServedModel
from edgefleet_agent.serving import InferenceServer
from edgefleet_agent.slots import Slots
from edgefleet_agent.spool import Spool
from edgefleet_agent.telemetry import Telemetry
from edgefleet_agent.timekeeping import Timekeeper
from edgefleet_agent.transport import Transport
from edgefleet_agent.trial import Trials
from edgefleet_agent.trust_store import DurableTrustStore
from edgefleet_agent.uplink import Reporter, TelemetryUplink
from edgefleet_contract import blocks, messages, topics
from edgefleet_contract.errors import DiskFailed, EdgefleetError, InputError, MessageMalformed, VerificationError
from edgefleet_contract.identifiers import new_boot_id
from edgefleet_contract.messages import Ack, Desired, ErrorReport, Need, Order, SignedTime
from edgefleet_contract.topics import Topic

log = logging.getLogger(__name__)

_TICK_S = 0.5  # every timer is this exact; a tick with nothing to do costs microseconds
_FIRST_RETRY_S = 10.0
_LAST_RETRY_S = 600.0


class Network(Protocol):
    """What the agent asks of the network."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there now."""

    @property
    def is_shut_out(self) -> bool:
        """Whether the broker says that this device's certificate is revoked."""

    def start(self, now_ms: Callable[[], int]) -> None:
        """Connect, now and whenever the connection is lost, to whom is in date at ``now_ms``."""

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Send a message, or lose it."""

    def renewed(self) -> None:
        """Connect anew: the identity has been renewed."""

    def stop(self) -> None:
        """Disconnect."""


class Agent:
    """Everything of an agent but its threads. One thread owns it.

    Args:
        folder: Of an enrolled device; its lock is held.
        config: Settings.
        network: Reaches the server.
        identity: Who the device is.
        disk: The door.
        clock: The clocks of the operating system.

    Attributes:
        served: The model that serves; its ``infer`` may be called from any thread.
    """

    def __init__(
        self, folder: DataFolder, config: Config, network: Network, *, identity: Identity, disk: Disk, clock: Clock
    ) -> None:
        self._identity = identity
        self._network = network
        boot, device, runtimes = new_boot_id(), identity.card.device, detection.installed_runtimes()
        self._store = DurableTrustStore(folder, disk, lambda: self._deployment.record)
        self._clock = clock = TrustedClock(clock, self._store, ClockConfirmation(folder, disk))
        self._timekeeper = Timekeeper(clock, device, boot, network.publish)
        self._spool = Spool(folder.spool, disk, config.spool_max_bytes)
        self._uplink = TelemetryUplink(self._spool, device, network.publish, clock)
        printed = read_fingerprint()
        self._reporter = Reporter(
            identity, boot, runtimes, network.publish, clock, lambda: self._timekeeper.is_stale, fingerprint=printed
        )
        slots = Slots(folder, disk)
        self._content_keys = content_keys = ContentKeys(slots, identity.holders)
        telemetry = Telemetry(clock, boot, config.telemetry_interval_s)
        outbox = Outbox(folder.outbox, disk, config.samples_max_bytes)
        self._sample_uplink = SampleUplink(outbox, device, network.publish, clock)
        sampler = Sampler(folder.samples, disk, clock, Sealer(outbox, device, config.redact, clock))
        self.served = ServedModel(
            slots, content_keys, config.limits(), clock, telemetry=telemetry, spool=self._spool, sampler=sampler
        )
        parts = Parts(
            folder=folder,
            disk=disk,
            clock=clock,
            store=self._store,
            slots=slots,
            content_keys=content_keys,
            fetcher=Fetcher(Downloads(folder.download, disk), self._ask_for_blocks, clock),
            served=self.served,
            trials=Trials(slots, content_keys, self.served, config.limits()),
            runtimes=runtimes,
        )
        self._deployment = Deployment(parts, load_record(folder), self._reporter.report)
        self._certificate = CertificateWatch(folder, identity, clock, self._renewed)
        self._told_stale = False
        self._refused = ""  # hash of the last message that was refused, so that its repetition costs nothing
        self._retry: tuple[float, bytes] | None = None  # a message that could not be acted on, and when to try again
        self._retry_backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)

    def start(self) -> None:
        """Serve what is confirmed, connect, and go on with what a stop interrupted."""
        if len(self._identity.holders()) > 1:  # a key was replaced while nobody was here to see it
            self._content_keys.renew()
        self._network.start(self._clock.now_ms)
        self._deployment.start()

    def handle(self, item: Connected | Received) -> None:
        """Act on what came."""
        match item:
            case Connected():
                self._timekeeper.connected()
                self._reporter.connected()
                self._uplink.connected()
                self._sample_uplink.connected()
                self._deployment.connected()
            case Received(topic, payload):
                try:
                    self._read(topic, payload)
                except (MessageMalformed, VerificationError, DiskFailed) as error:
                    log.warning("message dropped topic=%s: %s", topic.name, error)

    def tick(self) -> None:
        """Give every part its turn."""
        self._deployment.tick()
        self.served.tick()
        self._uplink.wake()
        self._uplink.tick()
        self._sample_uplink.tick()
        self._reporter.tick()
        self._certificate.tick()
        self._keep_time()
        if self._retry is not None and self._clock.monotonic() >= self._retry[0]:
            self._take_desired(self._retry[1])

    def stop(self) -> None:
        """Stop serving, and disconnect."""
        self._certificate.stop()
        self.served.stop()
        self._network.stop()

    def status(self) -> dict[str, object]:
        """How the agent is, as JSON types; may be called from any thread."""
        confirmed = self.served.confirmed
        described = status.describe(
            self._identity.card, self._deployment.record, confirmed.manifest if confirmed else None
        )
        return {
            **described,
            "connected": self._network.is_connected,
            "revoked": self._network.is_shut_out,
            "clock": status.describe_clock(self._clock, is_stale=self._timekeeper.is_stale),
            "ready": self.served.is_ready,
            "spool": {"records": len(self._spool), "bytes": self._spool.size_bytes},
        }

    def _renewed(self) -> None:
        """Come back under the new certificate, with the new key for reports and for what is wrapped to this device."""
        self._content_keys.renew()
        self._network.renewed()
        self._reporter.report(self._deployment.record)

    def _read(self, topic: Topic, payload: bytes) -> None:
        if topic is topics.BLOCK:
            self._deployment.take_block(blocks.decode(payload))
        elif topic is topics.DESIRED:
            self._take_desired(payload)
        elif topic is topics.ACK:
            self._take_ack(self._order(payload, Ack))
        elif topic is topics.TIME:
            self._timekeeper.answered(self._order(payload, SignedTime))
            if self._retry is not None:
                self._retry = (self._clock.monotonic(), self._retry[1])

    def _order(self, envelope: bytes, kind: type[Order]) -> Order:
        """What the server, and nobody else, tells this device."""
        return messages.open_order(envelope, kind, self._identity.card.device, self._store.assignment_keys())

    def _take_desired(self, payload: bytes) -> None:
        self._retry = None
        if not payload:  # nobody signed it, so that nothing follows from it
            log.info("the broker retains no assignment any more: this device may have been taken out of the fleet")
            return
        sha256 = hashlib.sha256(payload).hexdigest()
        if sha256 == self._refused:
            return
        try:
            desired = messages.decode(payload, Desired)
            self._deployment.desired(bytes(desired.assignment), bytes(desired.proof))
            self._retry_backoff.reset()
        except EdgefleetError as error:
            log.warning("assignment refused code=%s: %s", error.code, error)
            is_final = isinstance(error, VerificationError | InputError)
            if is_final and not may_be_the_clocks(error, self._clock):
                self._refused = sha256
            else:
                self._retry = (self._clock.monotonic() + self._retry_backoff.next(), payload)
            self._reporter.report(self._deployment.record, ErrorReport(error.code, error.text()))

    def _take_ack(self, ack: Ack) -> None:
        if ack.stream == "reported":
            self._reporter.acknowledged(ack)
            return
        (self._sample_uplink if ack.stream == "sample" else self._uplink).acknowledged(ack)

    def _keep_time(self) -> None:
        try:
            self._timekeeper.tick(is_connected=self._network.is_connected)
        except DiskFailed as error:
            log.warning("time not kept: %s", error)
        is_stale = self._timekeeper.is_stale
        if is_stale != self._told_stale:
            log.warning("the broker is there, and the server's time stays away: stale=%s", is_stale)
            self._told_stale = is_stale
            self._reporter.report(self._deployment.record)

    def _ask_for_blocks(self, sha256: str, wanted: list[int]) -> None:
        need = Need(messages.VERSION, self._identity.card.device, sha256, wanted)
        self._network.publish(topics.NEED, messages.encode(need))


def run(folder: DataFolder, config: Config, ready: Callable[[str, RunningAgent], None]) -> None:
    """Run an agent in this process until SIGTERM or SIGINT.

    Args:
        folder: Of an enrolled device.
        config: Settings.
        ready: Called with the device id once inference is served.

    Raises:
        NotEnrolled: The folder holds no identity.
        DataFolderInUse: Another agent runs there.
        UsageMalformed: The address to listen on cannot be used.
        DiskFailed: What a start writes cannot be written.
    """
    identity, inbox = Identity(folder), Inbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inbox.put(Stop()))
    lock = Lock(folder)
    network = Transport(identity, inbox)
    agent = Agent(folder, config, network, identity=identity, disk=Disk(), clock=SystemClock())
    server = InferenceServer(config.listen, agent.served, agent.status)
    me = RunningAgent(os.getpid(), server.url)
    try:
        server.start()
        lock.announce(me)
        agent.start()
        ready(identity.card.device, me)
        loop(agent, inbox)
    finally:
        server.stop()
        agent.stop()
        lock.release()


def loop(agent: Agent, inbox: Inbox) -> None:
    """Give items and ticks to ``agent`` until the end is asked for."""
    item: Item | None = None
    while not isinstance(item, Stop):
        item = inbox.get(_TICK_S)
        if isinstance(item, Connected | Received):
            agent.handle(item)
        agent.tick()
