"""Run as ``python -m edgefleet_agent.child.sampling``: makes a sealed sample of one request, and ends.

The request comes on stdin and the sealed sample goes to stdout: what was taken is never plain outside this process
and the agent's memory, and a hook that fails or hangs costs one sample.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgefleet_agent.child import open_inference
from edgefleet_agent.redaction import Clip, Custom, DropInput, Hook, parse_hooks
from edgefleet_agent.sealer import Answer, Question
from edgefleet_contract import manifest as manifests
from edgefleet_contract import samples
from edgefleet_contract.errors import EdgefleetError, InferenceFailed

Arrays = Mapping[str, NDArray[np.generic]]


def make(question: Question) -> bytes:
    """The sealed sample; empty where the hooks leave nothing.

    Raises:
        EdgefleetError: The request cannot be read, a hook fails, or the bundle's consent names nobody.
    """
    manifest = manifests.decode(question.manifest)
    consent = manifest.sampling.consent
    if consent is msgspec.UNSET:
        raise InferenceFailed("The bundle has no consent to samples")
    _, arrays = open_inference.parse(question.body, manifest)
    redacted = redact(arrays, parse_hooks(question.hooks))
    if not redacted:
        return b""
    plain = io.BytesIO()
    np.savez_compressed(plain, allow_pickle=False, **dict(redacted))
    return samples.seal_sample(
        plain.getvalue(),
        device=question.device,
        digest=question.digest,
        taken=question.taken,
        recipient=consent.recipient,
    )


def redact(arrays: Arrays, hooks: list[Hook]) -> Arrays:
    """What may be sent of the inputs of a request, each ``(n, ...)``; nothing where a hook says so.

    Raises:
        InferenceFailed: A hook fails; nothing may be sent then.
    """
    for hook in hooks:
        try:
            arrays = _apply(hook, arrays)
        except Exception as cause:  # the owner's code raises what it likes
            raise InferenceFailed(f"The redaction hook {hook} fails: {type(cause).__name__}: {cause}") from cause
    return arrays


def _apply(hook: Hook, arrays: Arrays) -> Arrays:
    match hook:
        case DropInput(name):
            return {other: array for other, array in arrays.items() if other != name}
        case Clip(low, high):
            return {name: np.clip(array, low, high) for name, array in arrays.items()}
        case Custom(module, function):
            given = getattr(importlib.import_module(module), function)(dict(arrays))
            return {} if given is None else {str(name): np.asarray(array) for name, array in given.items()}


def main() -> None:
    """Answer the question on stdin."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a hook prints is no part of the answer
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Question)
    try:
        answer = Answer(make(question))
    except EdgefleetError as error:
        answer = Answer(error=error.as_json())
    with answers:
        answers.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main()
