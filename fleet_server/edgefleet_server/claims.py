"""What a device may claim: checks of its messages, before anything of them is stored. Devices lie."""

from __future__ import annotations

from collections.abc import Iterable

from edgefleet_contract import identifiers, messages
from edgefleet_contract.errors import MessageMalformed
from edgefleet_contract.messages import Reported, TelemetryRecord, TimeRequest
from edgefleet_server.clock import DAY, SECOND
from edgefleet_server.devices.texts import check_fingerprint, check_texts

_WINDOW_LIMIT = 1 << 32  # of what one window counts: so no sum over the windows that are kept overflows a database
_SLOTS_LIMIT = 16
_SEQUENCE_AHEAD = 3650 * DAY // SECOND  # sequences grow from Unix seconds; none is further ahead


def check_sender(claimed: str, device: str) -> None:
    """A message on a device's topic is that device's.

    Raises:
        MessageMalformed: It says that it is another's.
    """
    if claimed != device:
        raise MessageMalformed(f"A message of {device!r} says that it is of {claimed!r}")


def time_request(payload: bytes, device: str) -> TimeRequest:
    """A request for the time, with a nonce that can be repeated.

    Raises:
        MessageMalformed: It is none.
    """
    request = messages.decode(payload, TimeRequest)
    check_sender(request.device, device)
    if not _is_boot(request.nonce):
        raise MessageMalformed("A request for the time has no usable nonce", expected="1 to 64 characters")
    return request


def check_report(reported: Reported, now: int, assigned: int) -> None:
    """A report holds what an agent can say.

    Args:
        reported: The report.
        now: UTC milliseconds.
        assigned: The highest sequence assigned to the device.

    Raises:
        MessageMalformed: It does not.
    """
    digests = [*reported.confirmed, *filter(None, (reported.running, reported.trial))]
    numbers_fit = reported.n > 0 and reported.sequence <= max(now // SECOND + _SEQUENCE_AHEAD, assigned)
    if not numbers_fit or not _is_boot(reported.boot) or len(reported.confirmed) > _SLOTS_LIMIT:
        raise MessageMalformed("A report has impossible numbers, or too many slots", expected="what an agent counts")
    if not all(identifiers.is_digest(digest) for digest in digests):
        raise MessageMalformed("A report names a digest that is none")
    check_texts(reported.hardware, reported.agent, reported.runtimes)
    check_fingerprint(reported.fingerprint)


def check_record(record: TelemetryRecord) -> None:
    """A telemetry record holds what an agent can count.

    Raises:
        MessageMalformed: It does not.
    """
    latency = record.latency
    numbers: Iterable[float] = (
        record.inferences, record.errors, record.dropped,
        *((latency.p50, latency.p95, latency.p99, latency.max) if latency else ()),
        *((record.sketch.n,) if record.sketch else ()),
    )  # fmt: skip
    numbers_fit = record.n > 0 and all(0 <= number < _WINDOW_LIMIT for number in numbers)
    if not numbers_fit or not _is_boot(record.boot) or not identifiers.is_digest(record.digest):
        raise MessageMalformed("A telemetry record has impossible numbers or names", expected="what an agent counts")


def _is_boot(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isascii() and text.isprintable()
