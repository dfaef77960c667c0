"""Reading hub graphs: what an inference costs."""

from __future__ import annotations

from edgefleet_compiler.hub.graph import products
from support.searched_nets import classifier


def test_products_are_those_of_convolutions_and_fully_connected_layers() -> None:
    pixels = 12 * 12
    dense = pixels * (3 * 8 * 9 + 8 * 8 + 8 * 4)
    depthwise = pixels * 8 * 9
    assert products(classifier().graph) == dense + depthwise + 12 * 6
