"""What the agent and its inference child say to each other: frames of length and MessagePack over a socket pair."""

from __future__ import annotations

import socket
import struct
from typing import TypeAlias

import msgspec

from edgefleet_contract.sketches import Sketch

FRAME_LIMIT = 64 * 1024 * 1024  # bytes
_LENGTH = struct.Struct(">I")


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load the artifact of a slot; the first request, and said once.

    Attributes:
        slot: Folder of an unpacked bundle.
        memory_bytes: Address space that runtime and model may take beyond what Python and numpy have.
        threads: Of the runtime.
        content_key: Of a private bundle, which lies in the slot sealed.
    """

    slot: str
    memory_bytes: int
    threads: int
    content_key: bytes | None = None


class Infer(msgspec.Struct, frozen=True, tag=True):
    """Run the cases of an Open Inference Protocol request body."""

    body: bytes


class RunGolden(msgspec.Struct, frozen=True, tag=True):
    """Run golden vectors from case ``start`` on, for a short while; ``path`` as in the manifest."""

    path: str
    start: int


class RunVectors(msgspec.Struct, frozen=True, tag=True):
    """Run rollout vectors from case ``start`` on, for a short while; ``path`` is the file."""

    path: str
    start: int


class TakeSketch(msgspec.Struct, frozen=True, tag=True):
    """Hand over the sketch of the inputs since the last time, and begin a new one."""


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The artifact is loaded."""


class Inferred(msgspec.Struct, frozen=True, tag=True):
    """Response body, and the inference time of each case in milliseconds."""

    body: bytes
    milliseconds: list[float]


class GoldenRun(msgspec.Struct, frozen=True, tag=True):
    """A part of the golden vectors.

    Attributes:
        total: Cases of the whole set.
        n: Cases of this part, at least 1.
        max_abs: How far the outputs are from the expected ones, in their real units.
        agreements: Cases of this part whose largest value is at the expected place.
    """

    total: int
    n: int
    max_abs: float
    agreements: int


class VectorsRun(msgspec.Struct, frozen=True, tag=True):
    """A part of the rollout vectors.

    Attributes:
        total: Cases of the whole file.
        n: Cases of this part, at least 1.
        outputs: Bytes of the part's outputs: float32, case after case, within a case in the manifest's order.
        winners: For each case, the place of the first output's largest value; None if it has only one value.
        correct: For each case, whether that is its label; None without labels.
    """

    total: int
    n: int
    outputs: bytes
    winners: list[int] | None
    correct: list[bool] | None


class SketchTaken(msgspec.Struct, frozen=True, tag=True):
    """The sketch; None when the bundle has no reference or nothing was inferred."""

    sketch: Sketch | None


class Fault(msgspec.Struct, frozen=True, tag=True):
    """The request failed; ``error`` is what ``EdgefleetError.as_json`` gave."""

    error: dict[str, object]


Request: TypeAlias = Load | Infer | RunGolden | RunVectors | TakeSketch
Response: TypeAlias = Loaded | Inferred | GoldenRun | VectorsRun | SketchTaken | Fault

_ENCODER = msgspec.msgpack.Encoder()
_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_RESPONSES: msgspec.msgpack.Decoder[Response] = msgspec.msgpack.Decoder(Response)


def send(channel: socket.socket, message: Request | Response) -> None:
    """Write one frame.

    Raises:
        ValueError: The message is longer than a frame may be.
        OSError: The other side is gone, or does not take it in time.
    """
    data = _ENCODER.encode(message)
    if len(data) > FRAME_LIMIT:
        raise ValueError(f"a frame of {len(data)} bytes")
    channel.sendall(_LENGTH.pack(len(data)) + data)


def receive_request(channel: socket.socket) -> Request:
    """Read one request; errors as :func:`receive_response`."""
    return _REQUESTS.decode(_read_frame(channel))


def receive_response(channel: socket.socket) -> Response:
    """Read one response.

    Raises:
        EOFError: The other side is gone.
        OSError: It does not answer in time.
        msgspec.DecodeError: What it says is no response.
    """
    return _RESPONSES.decode(_read_frame(channel))


def _read_frame(channel: socket.socket) -> bytearray:
    (length,) = _LENGTH.unpack(_read_exactly(channel, _LENGTH.size))
    if length > FRAME_LIMIT:
        raise msgspec.DecodeError(f"a frame of {length} bytes")
    return _read_exactly(channel, length)


def _read_exactly(channel: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        received = channel.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return data
