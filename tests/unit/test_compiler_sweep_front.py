"""The front of a sweep holds what no other candidate beats, and the plan hangs on results alone."""

from __future__ import annotations

import math
import re

import pytest
from markupsafe import Markup
from msgspec.structs import replace

from edgefleet_compiler.report.pictures.front import Axis, Point, draw_front
from edgefleet_compiler.sweep.front import front_of
from edgefleet_compiler.sweep.plan import Scope, finer_ideas, first_ideas
from edgefleet_compiler.sweep.record import Candidate, Evaluation, Figures, Idea

PLAIN = Figures(
    scheme="int8",
    format="tflite",
    sha256="0" * 64,
    bytes=100,
    weights_bytes=80,
    peak_ram_bytes=50,
    macs=1000,
    instructions=None,
    accuracy=0.9,
    drop=0.0,
    sqnr_db=30.0,
    agreement=1.0,
    verdict="accepted",
    refusals=[],
)
SCOPE = Scope(("int8", "int16x8"), {"four_bits": ("int8",), "prune": ("int8",)})


def candidates(*figures: Figures | None) -> list[Candidate]:
    return [
        Candidate(
            number=number,
            idea=Idea(rung="int8"),
            evaluation=Evaluation(outcome="impossible" if each is None else "measured", figures=each),
        )
        for number, each in enumerate(figures, start=1)
    ]


def front(*figures: Figures | None) -> list[int]:
    return [candidate.number for candidate in front_of(candidates(*figures))]


@pytest.mark.parametrize("better", [{"bytes": 99}, {"peak_ram_bytes": 49}, {"macs": 999}, {"drop": -0.001}])
def test_one_better_figure_is_enough_to_beat_an_equal(better: dict[str, float]) -> None:
    assert front(PLAIN, replace(PLAIN, **better)) == [2]


def test_who_is_better_in_one_figure_and_worse_in_another_stays() -> None:
    smaller, truer = replace(PLAIN, bytes=60, drop=0.1), replace(PLAIN, bytes=140, drop=-0.1)
    assert front(PLAIN, truer, smaller) == [3, 1, 2]  # by bytes


def test_equals_are_told_apart_by_their_outputs_and_then_by_number() -> None:
    assert front(PLAIN, replace(PLAIN, sqnr_db=31.0), replace(PLAIN, sqnr_db=31.0)) == [2]
    assert front(PLAIN, replace(PLAIN, sqnr_db=None)) == [2]  # no noise at all


def test_what_nobody_knows_counts_as_the_worst() -> None:
    assert front(replace(PLAIN, peak_ram_bytes=None), PLAIN) == [2]
    assert front(replace(PLAIN, peak_ram_bytes=None), replace(PLAIN, peak_ram_bytes=None, bytes=101)) == [1]


def test_instructions_stand_for_work_where_they_were_counted() -> None:
    assert front(replace(PLAIN, instructions=10, macs=1), replace(PLAIN, instructions=9, macs=2)) == [2]


def test_without_accuracy_the_noise_of_the_outputs_counts() -> None:
    blind = replace(PLAIN, accuracy=None, drop=None)
    assert front(blind, replace(blind, bytes=90, sqnr_db=20.0), replace(blind, bytes=110, sqnr_db=25.0)) == [2, 1]


def test_lost_accuracy_is_a_price_and_any_other_refusal_is_not() -> None:
    lossy = replace(PLAIN, bytes=10, drop=0.5, verdict="refused", refusals=["accuracy.lost"])
    too_large = replace(lossy, bytes=9, refusals=["accuracy.lost", "budget.exceeded"])
    assert front(PLAIN, lossy, too_large, None) == [2, 1]


def test_the_first_list_has_every_rung_and_every_axis_and_nothing_twice() -> None:
    ideas = first_ideas(SCOPE)
    assert len(set(ideas)) == len(ideas)
    assert ideas[:3] == [Idea(rung="int8"), Idea(rung="int8", four_bits=1.0), Idea(rung="int8", prune=1 / 8)]
    assert Idea(rung="int16x8") in ideas
    assert any(idea.four_bits and idea.prune for idea in ideas)
    assert not any(idea.low_rank for idea in ideas)


def test_neighbours_of_the_front_come_in_turns_and_by_ever_smaller_steps() -> None:
    points = [Idea(rung="int8", four_bits=1.0), Idea(rung="int8")]
    coarse = finer_ideas(SCOPE, points, set(points))
    assert coarse[:2] == [Idea(rung="int8", four_bits=0.875), Idea(rung="int8", four_bits=0.125)]
    assert all(idea not in points for idea in coarse)
    finer = finer_ideas(SCOPE, points, {*points, *coarse})
    assert {idea.four_bits for idea in finer} == {1.0, 1 - 1 / 16, 1 / 16, 0.0}
    known = {*points}
    while fresh := finer_ideas(SCOPE, points, known):
        known |= set(fresh)
    assert min(idea.prune for idea in known if idea.prune) == 1 / 64


def test_an_idea_is_told_in_words() -> None:
    assert Idea(rung="int8", four_bits=1.0, prune=1 / 16).name == "int8, 4-bit weights 100 %, pruned 6.25 %"


# --- the picture -----------------------------------------------------------------------------------------------------

COST, QUALITY = Axis("bytes", "{:.0f}".format), Axis("top1", "{:.2f}".format)


def places(drawn: Markup, kind: str) -> list[tuple[float, float]]:
    found = re.findall(rf'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+" class="{kind}"', str(drawn))
    return [(float(x), float(y)) for x, y in found]


def point(label: str, cost: float, quality: float, *, on_front: bool = True) -> Point:
    return Point(label, f"candidate {label}", cost, quality, on_front)


def test_the_best_is_drawn_above_left_with_a_label_and_the_beaten_are_pale() -> None:
    points = [point("001", 10, 0.5), point("002", 20, 0.9), point("003", 15, 0.6, on_front=False)]
    drawn = draw_front(points, COST, QUALITY)
    assert drawn is not None
    (small, true), pale = places(drawn, "point"), places(drawn, "pale")
    assert small[0] < pale[0][0] < true[0]
    assert small[1] > pale[0][1] > true[1]
    assert ">001</text>" in drawn
    assert ">003</text>" not in drawn
    assert "candidate 003" in drawn


def test_what_lies_beyond_the_front_is_left_out_and_a_single_point_is_drawn() -> None:
    drawn = draw_front([point("001", 10, 0.5), point("002", 900, 0.1, on_front=False)], COST, QUALITY)
    assert drawn is not None
    assert len(places(drawn, "point")) == 1
    assert places(drawn, "pale") == []
    assert all(math.isfinite(number) for place in places(drawn, "point") for number in place)
    assert draw_front([point("001", 1, 1, on_front=False)], COST, QUALITY) is None


def test_texts_in_the_picture_are_escaped() -> None:
    drawn = draw_front([point("<b>", 1, 1)], COST, QUALITY)
    assert "<b>" not in str(drawn)
