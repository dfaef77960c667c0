"""How often somebody may ask: token buckets, by name, by principal and by address.

A bucket holds so many tries and fills up again slowly. Buckets live in this process' memory, and there are not more of
them than :data:`BUCKETS`, so that an attacker with many names or addresses fills no memory. Only a full one is
forgotten, for it says nothing; so nobody gets new tries by inventing names until their own bucket is forgotten. Where a
server stands behind a proxy, all of its clients have the proxy's address; the proxy has to limit them then.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from dataclasses import dataclass

from fastapi import Request

from edgefleet_contract.errors import RateLimited
from edgefleet_server.clock import SECOND, Clock

BUCKETS = 10_000
_NEWCOMERS = "\0"  # no name, principal or address
_SWEEP_INTERVAL = SECOND
_SITE_BITS = 64  # of an IPv6 address: whoever has one has all that begin with these


@dataclass(frozen=True)
class Rate:
    """So many at once, and then so many a second."""

    burst: int
    per_second: float


class Limiter:
    """A bucket for each key; while there are too many that are not full, those that come new share one.

    Args:
        what: What is limited, for the error.
        rate: Of each key.
        clock: UTC milliseconds.
    """

    def __init__(self, what: str, rate: Rate, clock: Clock) -> None:
        self._what = what
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, int]] = {}
        self._swept_at = -_SWEEP_INTERVAL

    def take(self, key: str) -> None:
        """One more of ``key``.

        Raises:
            RateLimited: Its bucket is empty.
        """
        wait = self._take(key)
        if wait > 0:
            seconds = math.ceil(wait)
            raise RateLimited(
                f"There were too many {self._what} in a short time", remedy=f"Wait {seconds} s.", retry_after=seconds
            )

    def allows(self, key: str) -> bool:
        """Take one of ``key``, if there is one."""
        return self._take(key) <= 0

    def _take(self, key: str) -> float:
        """Take one; the seconds to wait when there is none."""
        with self._lock:
            now = self._clock()
            if key not in self._buckets and not self._has_room(now):
                key = _NEWCOMERS
            left = self._left(key, now)
            taken = left >= 1
            self._buckets[key] = (left - 1 if taken else left, now)
            return 0.0 if taken else (1 - left) / self._rate.per_second

    def _left(self, key: str, now: int) -> float:
        """What is in a bucket by now."""
        left, then = self._buckets.get(key, (float(self._rate.burst), now))
        return min(self._rate.burst, left + max(0, now - then) / SECOND * self._rate.per_second)

    def _has_room(self, now: int) -> bool:
        """Whether there may be another bucket; full ones are forgotten for it, though not at each request."""
        if len(self._buckets) >= BUCKETS and abs(now - self._swept_at) >= _SWEEP_INTERVAL:
            self._swept_at = now
            for key in [key for key in self._buckets if self._left(key, now) >= self._rate.burst]:
                del self._buckets[key]
        return len(self._buckets) < BUCKETS


class RateLimits:
    """All limits of a server process.

    Attributes:
        sign_in_names: Sign-ins by name; generous, since whoever exhausts it keeps the user out.
        sign_in_origins: Sign-ins by address.
        principals: Requests by whoever makes them.
        enrolments: Enrolments and renewals by address; a site's devices may share one.
        refusals: Refused acts that are written into the audit log, by address.
        all_refusals: The same from everywhere.
    """

    def __init__(self, clock: Clock) -> None:
        self.sign_in_names = Limiter("sign-ins with this name", Rate(20, 0.2), clock)
        self.sign_in_origins = Limiter("sign-ins from this address", Rate(10, 0.1), clock)
        self.principals = Limiter("requests", Rate(400, 100), clock)
        self.enrolments = Limiter("enrolments from this address", Rate(200, 20), clock)
        self.refusals = Limiter("refusals", Rate(10, 1 / 60), clock)
        self.all_refusals = Limiter("refusals", Rate(100, 0.2), clock)


def origin_of(request: Request) -> str | None:
    """The address that a request came from. What a header says of it is not believed."""
    return request.client.host if request.client else None


def site_of(origin: str | None) -> str:
    """What an address is limited by: itself, or of IPv6 the network of one site."""
    try:
        address = ipaddress.ip_address(origin or "")
    except ValueError:
        return origin or ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _SITE_BITS), strict=False))


def limited_enrolment(request: Request) -> None:
    """A dependency of what devices call.

    Raises:
        RateLimited: Too many came from the address.
    """
    limits = request.app.state.fleet.gate.limits
    assert isinstance(limits, RateLimits)
    limits.enrolments.take(site_of(origin_of(request)))
