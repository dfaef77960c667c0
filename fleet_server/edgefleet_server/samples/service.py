"""Samples: taken only where a released bundle carries a consent, kept sealed, listed by what their labels say."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from edgefleet_contract import identifiers, samples
from edgefleet_contract import manifest as manifests
from edgefleet_contract.errors import MessageMalformed, NotFound, SealBroken
from edgefleet_contract.manifest import SamplingPolicy
from edgefleet_contract.messages import SAMPLE_CHUNK_BYTES, SampleChunk
from edgefleet_contract.samples import SAMPLE_LIMIT
from edgefleet_server.clock import DAY
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.samples.models import Sample, SamplePiece

_CATCHING_UP = 2  # times a day's allowance that are taken in a day, so that a device that was away gets rid of its own


def take(session: Session, now: int, device: str, chunk: SampleChunk) -> int:
    """Keep a piece of a sample.

    Returns:
        How many pieces are here; the device goes on after them.

    Raises:
        MessageMalformed: The piece is none, there is no consent to it, or the device has sent its share of the day.
    """
    pieces = _check(chunk)
    sample = session.scalars(
        select(Sample).where(Sample.device_id == device, Sample.sha256 == chunk.sha256)
    ).one_or_none()
    if sample is None:
        sample = _begin(session, now, device, chunk)
    if sample.size != chunk.size:
        raise MessageMalformed(f"A sample of {sample.size} bytes goes on with {chunk.size}", expected="one size")
    if sample.arrived == pieces or chunk.n != sample.arrived + 1:
        return sample.arrived
    session.add(SamplePiece(sample_id=sample.id, n=chunk.n, data=chunk.data))
    sample.arrived = chunk.n
    if chunk.n == pieces:
        _finish(session, now, sample)
    return sample.arrived


def whole(session: Session, device: str | None, after: int, limit: int) -> list[Sample]:
    """A page of the samples that are here, by id, from the first one after id ``after``."""
    query = select(Sample).where(Sample.id > after, Sample.complete_at.is_not(None)).order_by(Sample.id).limit(limit)
    if device is not None:
        query = query.where(Sample.device_id == device)
    return list(session.scalars(query))


def sealed(session: Session, sample_id: int) -> bytes:
    """A sample, sealed as it came.

    Raises:
        NotFound: There is none, or not all of it.
    """
    found = session.get(Sample, sample_id)
    if found is None or found.complete_at is None:
        raise NotFound(f"There is no sample {sample_id}", remedy="`edgefleet sample list` shows them.")
    return _joined(session, found)


def delete_expired(session: Session, now: int, oldest: int) -> int:
    """Delete what its consent keeps no longer, and what came before ``oldest``; returns how many samples."""
    gone = select(Sample.id).where((Sample.expires_at <= now) | (Sample.received_at < oldest))
    return _delete(session, list(session.scalars(gone)))


def delete_of(session: Session, device: str) -> int:
    """Delete all samples of a device; returns how many."""
    return _delete(session, list(session.scalars(select(Sample.id).where(Sample.device_id == device))))


def _delete(session: Session, gone: list[int]) -> int:
    for sample_id in gone:
        session.execute(delete(SamplePiece).where(SamplePiece.sample_id == sample_id))
        session.execute(delete(Sample).where(Sample.id == sample_id))
    return len(gone)


def _check(chunk: SampleChunk) -> int:
    """How many pieces the sample has, if this may be one of them."""
    if not 0 < chunk.size <= SAMPLE_LIMIT or not identifiers.is_digest(chunk.sha256):
        raise MessageMalformed(
            f"A sample of {chunk.size} bytes is called {chunk.sha256:.80}", expected=f"{SAMPLE_LIMIT} bytes at most"
        )
    pieces = -(-chunk.size // SAMPLE_CHUNK_BYTES)
    is_last = chunk.n == pieces
    length = chunk.size - (pieces - 1) * SAMPLE_CHUNK_BYTES if is_last else SAMPLE_CHUNK_BYTES
    if not 1 <= chunk.n <= pieces or len(chunk.data) != length:
        raise MessageMalformed(f"Piece {chunk.n} of a sample has {len(chunk.data)} bytes", expected=str(length))
    return pieces


def _begin(session: Session, now: int, device: str, chunk: SampleChunk) -> Sample:
    policy = _policy(session, chunk.digest)
    if policy is None or policy.consent is msgspec.UNSET:
        raise MessageMalformed(
            f"A sample came of the bundle {chunk.digest:.64}, which carries no consent", expected="none of it"
        )
    today = select(func.count()).select_from(Sample).where(Sample.device_id == device, Sample.received_at > now - DAY)
    if session.scalar(today) >= _CATCHING_UP * policy.max_per_day:  # type: ignore[operator]  # a count is a number
        raise MessageMalformed(
            "The device has sent its share of samples", expected=f"{policy.max_per_day} a day, as the consent says"
        )
    sample = Sample(
        device_id=device,
        sha256=chunk.sha256,
        digest=chunk.digest,
        size=chunk.size,
        arrived=0,
        received_at=now,
        expires_at=now + policy.consent.retention_days * DAY,
    )
    session.add(sample)
    session.flush()
    return sample


def _policy(session: Session, digest: str) -> SamplingPolicy | None:
    manifest = session.scalar(select(ReleasedBundle.manifest).where(ReleasedBundle.digest == digest))
    return manifests.decode(manifest).sampling if manifest is not None else None


def _finish(session: Session, now: int, sample: Sample) -> None:
    """Read the label of a sample that is whole; one that is not what it was called is forgotten."""
    session.flush()
    data = _joined(session, sample)
    try:
        label = samples.read_label(data)
        is_itself = hashlib.sha256(data).hexdigest() == sample.sha256
        is_labelled = (label.device, label.digest) == (sample.device_id, sample.digest)
    except SealBroken:
        is_itself = is_labelled = False
    if not is_itself or not is_labelled:
        raise MessageMalformed("A sample is not what it was called", expected="sealed, labelled and hashed alike")
    sample.taken_at, sample.recipient, sample.complete_at = label.taken, label.recipient, now


def _joined(session: Session, sample: Sample) -> bytes:
    pieces = select(SamplePiece.data).where(SamplePiece.sample_id == sample.id).order_by(SamplePiece.n)
    return b"".join(session.scalars(pieces))
