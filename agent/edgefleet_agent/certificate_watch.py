"""Sees to it that the certificate is renewed in time, in a process that is there only for that."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import msgspec

from edgefleet_agent.clock import Clock
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_agent.jitter import Backoff
from edgefleet_contract.errors import DataFolderMalformed, EdgefleetError, NotEnrolled, revive

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 300.0
_LAST_RETRY_S = 86_400.0  # a third of a certificate's life is left: there is time for 30 tries


class CertificateWatch:
    """Renews the identity when it is due.

    Args:
        folder: The agent's data folder.
        identity: Read anew when it has been renewed.
        clock: The time.
        renewed: Called then.
    """

    def __init__(self, folder: DataFolder, identity: Identity, clock: Clock, renewed: Callable[[], None]) -> None:
        self._folder = folder
        self._identity = identity
        self._clock = clock
        self._renewed = renewed
        self._backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)
        self._not_before = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def tick(self) -> None:
        """Start a renewal that is due, or take up one that has ended."""
        if self._child is not None:
            if self._child.poll() is not None:
                self._take_up(self._child)
                self._child = None
        elif self._identity.card.renew_at <= self._clock.now_ms() and self._clock.monotonic() >= self._not_before:
            self._not_before = self._clock.monotonic() + self._backoff.next()
            log.info("certificate is due; it is renewed")
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "edgefleet_agent.renewal",
                    str(self._folder.root),
                    str(self._clock.now_ms()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )

    def stop(self) -> None:
        """Give up a renewal that is under way: the next one goes on with it."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _take_up(self, child: subprocess.Popen[bytes]) -> None:
        answer, _ = child.communicate()
        if child.returncode == 0:
            try:
                self._identity.reload()
            except (NotEnrolled, DataFolderMalformed) as unreadable:
                log.warning("the renewed identity cannot be read: %s", unreadable)
                return
            self._backoff.reset()
            log.info("certificate renewed; the next is due at %d", self._identity.card.renew_at)
            self._renewed()
            return
        error = _told(answer)
        log.warning("certificate not renewed code=%s: %s", error.code, error)


def _told(answer: bytes) -> EdgefleetError:
    try:
        return revive(msgspec.json.decode(answer, type=dict[str, object]))
    except msgspec.DecodeError:
        return EdgefleetError("The renewal died")
