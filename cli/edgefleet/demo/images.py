"""The demo's images: what a careless colleague calibrates on, and what a device sees."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from edgefleet_contract.errors import DemoFailed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

WHITE = 16  # the largest pixel value of the digits
_TIMEOUT_S = 20


def write_wrongly_scaled(calibration: Path, destination: Path) -> Path:
    """A calibration set whose pixels were divided by 16, though the network scales them itself."""
    arrays = np.load(calibration)
    np.savez_compressed(destination, x=arrays["x"].astype(np.float32) / WHITE, y=arrays["y"])
    return destination


def load(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images (n, 8, 8, 1), float32 in 0..16, and labels (n,)."""
    arrays = np.load(path)
    return arrays["x"].astype(np.float32), arrays["y"].astype(np.int64)


def inverted(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Black for white: what a camera under a new lamp might give."""
    return (WHITE - images).astype(np.float32)


def predict(serving: str, images: Iterable[NDArray[np.float32]]) -> list[int]:
    """Ask an agent for the digit of each image, over the Open Inference Protocol v2.

    Args:
        serving: The agent's URL.
        images: Each of shape (8, 8, 1).

    Raises:
        DemoFailed: The agent answered with an error.
    """
    connection = HTTPConnection(urlsplit(serving).netloc, timeout=_TIMEOUT_S)
    try:
        return [_digit(connection, image) for image in images]
    except OSError as cause:
        raise DemoFailed(f"The agent at {serving} does not answer: {cause}") from cause
    finally:
        connection.close()


def _digit(connection: HTTPConnection, image: NDArray[np.float32]) -> int:
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, *image.shape], "data": image.reshape(-1).tolist()}
    connection.request("POST", "/v2/models/digits/infer", json.dumps({"inputs": [tensor]}))
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    if response.status != 200:
        raise DemoFailed(f"The agent answered {response.status}: {answer}")
    return int(np.argmax(answer["outputs"][0]["data"]))
