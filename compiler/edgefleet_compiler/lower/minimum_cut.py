"""The minimum cut of a small network: which vertices stay with the source at the least cost.

Edmonds and Karp, "Theoretical improvements in algorithmic efficiency for network flow problems", JACM 19 (1972):
augment along shortest paths until none is left. The graphs here have some hundred vertices and few paths.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Vertex = TypeVar("Vertex", bound=Hashable)


class Network(Generic[Vertex]):
    """Vertices between a source and a sink, and what it costs to part them."""

    def __init__(self, source: Vertex, sink: Vertex) -> None:
        self.source = source
        self.sink = sink
        self._residual: dict[Vertex, dict[Vertex, int]] = defaultdict(lambda: defaultdict(int))

    def connect(self, tail: Vertex, head: Vertex, cost: int) -> None:
        """Let it cost ``cost`` more if ``tail`` stays with the source and ``head`` does not."""
        if tail != head:
            self._residual[tail][head] += cost
            self._residual[head][tail] += 0

    def source_side(self) -> set[Vertex]:
        """The vertices on the source's side of a minimum cut: of all minimum cuts, the one with the fewest."""
        while True:
            came_from = self._reach()
            if self.sink not in came_from:
                return set(came_from)
            path = [self.sink]
            while path[-1] != self.source:
                path.append(came_from[path[-1]])
            edges = list(zip(path[1:], path, strict=False))
            flow = min(self._residual[tail][head] for tail, head in edges)
            for tail, head in edges:
                self._residual[tail][head] -= flow
                self._residual[head][tail] += flow

    def _reach(self) -> dict[Vertex, Vertex]:
        """Each vertex that the source reaches through edges with capacity left, and from where, nearest first."""
        came_from = {self.source: self.source}
        queue = deque([self.source])
        while queue:
            tail = queue.popleft()
            for head, capacity in self._residual[tail].items():
                if capacity > 0 and head not in came_from:
                    came_from[head] = tail
                    queue.append(head)
        return came_from
