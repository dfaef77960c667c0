"""What waits for the main thread has a bound, whoever sends."""

from __future__ import annotations

import pytest

from edgefleet_agent.inbox import Inbox, Received
from edgefleet_contract import topics


@pytest.mark.attack
def test_a_flood_leaves_only_the_newest_of_each_topic_waiting() -> None:
    inbox = Inbox()
    down = [row for row in topics.TOPICS if row.direction == "down"]
    for n in range(1000):
        for topic in down:
            inbox.put(Received(topic, b"%d" % n))
    waiting: list[Received] = []
    while isinstance(item := inbox.get(0), Received):
        waiting.append(item)
    counts = {topic.name: sum(item.topic is topic for item in waiting) for topic in down}
    assert set(counts) == {"desired", "ack", "time", "blk"}
    assert all(1 <= count <= 64 for count in counts.values()), counts
    assert waiting[0] == Received(topics.DESIRED, b"999")
