"""Run as ``python -m edgefleet_agent.child FD``: answers requests on the socket FD until the agent is gone."""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
import threading

from edgefleet_agent import frames
from edgefleet_agent.child.session import Session
from edgefleet_contract.errors import EdgefleetError, InferenceFailed


def main(descriptor: int) -> None:
    """Answer requests until the other side closes."""
    channel = socket.socket(fileno=descriptor)
    threading.Thread(target=_end_with, args=(descriptor,), daemon=True).start()
    session: Session | None = None
    while True:
        try:
            request = frames.receive_request(channel)
        except (EOFError, ConnectionError):
            return
        try:
            if session is None:
                assert isinstance(request, frames.Load)
                session = _load(request)
                response: frames.Response = frames.Loaded()
            else:
                response = session.answer(request)
        except EdgefleetError as error:
            response = frames.Fault(error.as_json())
        except MemoryError:
            response = frames.Fault(InferenceFailed("The model needs more memory than it may have").as_json())
        except Exception as error:  # noqa: BLE001 - the border of the process: the agent decides what follows
            response = frames.Fault(InferenceFailed(f"Inference ended in a {type(error).__name__}: {error}").as_json())
        frames.send(channel, response)


def _load(request: frames.Load) -> Session:
    """Load the slot, with the address space limited to what there is now and what the model may take beyond."""
    pages = int(_read_statm().split()[0])
    limit = pages * resource.getpagesize() + request.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return Session(request)


def _read_statm() -> str:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - a file of the kernel, not a path of ours
        return file.read()


def _end_with(descriptor: int) -> None:
    """End this process when the agent's end of the socket closes, even in the middle of a model that hangs."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
