"""The child's way: limit itself, load TensorFlow, train, and tell of it."""

from __future__ import annotations

import os
import resource
import sys
from typing import BinaryIO

import msgspec

from edgefleet_compiler.finetune.messages import Answer, OutOfMemory, Question, Refused
from edgefleet_contract.errors import EdgefleetError, OutputUnwritable

_MOST_FILE_BYTES = 4 << 30


def main() -> None:
    """Answer the question on stdin through the pipe that it names."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    resource.setrlimit(resource.RLIMIT_AS, (question.memory_bytes, question.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(question.pipe, "wb") as pipe:
        _train(question, pipe)


def _train(question: Question, pipe: BinaryIO) -> None:
    def tell(answer: Answer) -> None:
        """Ends the child if nobody listens any more: its caller may have been killed."""
        pipe.write(msgspec.json.encode(answer) + b"\n")
        pipe.flush()

    # From here on TensorFlow is loaded, which takes seconds.
    import tensorflow as tf  # noqa: PLC0415

    from edgefleet_compiler.finetune.child.training import Training  # noqa: PLC0415

    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(question.seed % 2**31)
    try:
        Training(question, tell).run()
    except EdgefleetError as error:
        tell(Refused(error.as_json()))
    except OSError as cause:
        tell(Refused(OutputUnwritable(f"What was trained cannot be written: {cause.strerror}").as_json()))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        tell(OutOfMemory())


if __name__ == "__main__":
    main()
