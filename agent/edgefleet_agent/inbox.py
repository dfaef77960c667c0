"""What the network has for the main thread, bounded by construction: a flooding broker costs no memory."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from edgefleet_contract import blocks, topics
from edgefleet_contract.topics import Topic


@dataclass(frozen=True)
class Connected:
    """The broker is there, and knows our subscriptions."""


@dataclass(frozen=True)
class Received:
    """A message."""

    topic: Topic
    payload: bytes


@dataclass(frozen=True)
class Stop:
    """The agent shall end."""


Item: TypeAlias = Connected | Received | Stop

# How many messages of each topic wait; the oldest make room. Of the desired twin only the newest counts; what is
# lost of acknowledgements, times and blocks is asked for again.
_ROOM = {topics.DESIRED: 1, topics.ACK: 64, topics.TIME: 4, topics.BLOCK: 2 * blocks.WINDOW}


class Inbox:
    """A queue between the network's thread and the main thread."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._stopped = False
        self._connected = False
        self._waiting = {topic: deque[bytes](maxlen=room) for topic, room in _ROOM.items()}

    def put(self, item: Item) -> None:
        """Add an item; what comes on other topics than ours is dropped."""
        with self._ready:
            match item:
                case Stop():
                    self._stopped = True
                case Connected():
                    self._connected = True
                case Received(topic, payload):
                    if topic in self._waiting:
                        self._waiting[topic].append(payload)
            self._ready.notify()

    def get(self, timeout_s: float) -> Item | None:
        """The next item: the end first, then the connection, then messages; None when none comes in time."""
        with self._ready:
            self._ready.wait_for(self._has_items, timeout_s)
            if self._stopped:
                return Stop()
            if self._connected:
                self._connected = False
                return Connected()
            for topic, payloads in self._waiting.items():
                if payloads:
                    return Received(topic, payloads.popleft())
            return None

    def _has_items(self) -> bool:
        return self._stopped or self._connected or any(self._waiting.values())
