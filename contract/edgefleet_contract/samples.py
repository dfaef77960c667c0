"""Raw samples as they travel and are kept: inputs of one inference, sealed so that only their recipient reads them.

A sealed sample is the length of its head (4 bytes, big-endian), the head as canonical JSON (the label, and the sample's
key wrapped to the recipient), and a sealed file of the inputs. Whoever keeps a sample may read its label and can change
nothing of it: the key opens under that label alone.
"""

from __future__ import annotations

import struct

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract import canonical, keys
from edgefleet_contract.errors import SealBroken
from edgefleet_contract.sealing import files
from edgefleet_contract.sealing.wrapping import WrappedKey, exchange_with, unwrap, wrap

VERSION = 1
SAMPLE_LIMIT = 16 * 1024 * 1024  # bytes of a sealed sample
_LABEL_LIMIT = 4096  # bytes
_LENGTH = struct.Struct(">I")


class Label(msgspec.Struct, frozen=True):
    """What may be known of a sample without opening it.

    Attributes:
        device: Where it was taken.
        digest: The bundle that answered.
        taken: UTC milliseconds of the device's clock.
        recipient: Key id of whom it is sealed to.
    """

    v: int
    device: str
    digest: str
    taken: int
    recipient: str


class _Head(msgspec.Struct, frozen=True):
    label: Label
    key: WrappedKey


def seal_sample(plain: bytes, *, device: str, digest: str, taken: int, recipient: str) -> bytes:
    """Seal a sample.

    Args:
        plain: ``.npz`` of the inputs: real values, one array an input.
        device: As in :class:`Label`.
        digest: As there.
        taken: As there.
        recipient: Public key, as the bundle's consent names it.

    Raises:
        StatementMalformed: ``recipient`` is no P-256 key.
    """
    public = keys.recipient_from_text(recipient)
    label = Label(VERSION, device, digest, taken, keys.key_id(public))
    key = files.new_key()
    head = canonical.encode(_Head(label, wrap(key, public, _context(label))))
    return _LENGTH.pack(len(head)) + head + files.seal_bytes(plain, key)


def read_label(sealed: bytes) -> Label:
    """The label of a sealed sample; only :func:`open_sample` shows that it is the true one.

    Raises:
        SealBroken: The bytes are no sealed sample.
    """
    return _split(sealed)[0].label


def open_sample(sealed: bytes, key: ec.EllipticCurvePrivateKey) -> tuple[Label, bytes]:
    """The label and the plain bytes of a sealed sample.

    Raises:
        SealBroken: It is sealed to another key, or was changed.
    """
    head, body = _split(sealed)
    if head.label.recipient != keys.key_id(key.public_key()):
        raise SealBroken(
            f"The sample is sealed to the key {head.label.recipient[:16]}",
            expected=f"the key that was given, {keys.key_id(key.public_key())[:16]}",
            remedy="Name the file of that other key with --key.",
        )
    content_key = unwrap(head.key, exchange_with(key), key.public_key(), _context(head.label))
    return head.label, files.unseal_bytes(body, content_key)


def _split(sealed: bytes) -> tuple[_Head, bytes]:
    if len(sealed) < _LENGTH.size:
        raise SealBroken(f"The {len(sealed)} bytes are no sealed sample")
    (length,) = _LENGTH.unpack_from(sealed)
    end = _LENGTH.size + length
    head = canonical.decode(
        sealed[_LENGTH.size : min(end, len(sealed))], _Head, what="sealed sample", limit=_LABEL_LIMIT, error=SealBroken
    )
    if head.label.v != VERSION:
        raise SealBroken(f"The sealed sample has version {head.label.v}", expected=str(VERSION))
    return head, sealed[end:]


def _context(label: Label) -> bytes:
    return b"edgefleet sample/1 " + canonical.encode(label)
