"""The arithmetic of the benchmark: what is compared with what, and which of it counts as lost."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks import plot, tables
from benchmarks.__main__ import BENCHMARKS
from benchmarks.contenders import Contender
from benchmarks.page import PAGE, replaced
from benchmarks.processes import Cost, ProcessFailed, run
from benchmarks.published import plain_float
from benchmarks.quantisers import Failure, Outcome, Result
from benchmarks.scores import Cases, Score, judge
from benchmarks.speeds import Speed, speed, time_models
from benchmarks.subjects import Data, Subject
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import random_inputs, run_litert, small_network

NOWHERE = Path("nowhere")
COMPARED = ("int8", "int8, --io int8")


def subject(says="choice"):
    return Subject("net", NOWHERE, Data(NOWHERE, NOWHERE, NOWHERE), says)


def result(maker, setting, *, form="onnx", io="float", size=1000, score=None, milliseconds=1.0, cost=None, shipped=""):
    return Result(
        contender=Contender(maker, setting, form, (), NOWHERE),
        shipped=shipped,
        bytes=size,
        io=io,
        cost=cost or Cost(1.0, 100.0),
        score=score or Score(20.0, 0.9),
        speed=Speed(milliseconds, 2.0, (1.9, 2.1)),
    )


def outcome(*results, failures=(), says="choice"):
    floats = [result("edgefleet", "float", form=form, size=4000) for form in ("tflite", "onnx")]
    return Outcome(subject(says), floats, list(results), list(failures))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


# --- fidelity --------------------------------------------------------------------------------------------------------


def test_an_artifact_that_says_the_same_loses_nothing():
    outputs = np.eye(4, dtype=np.float32)
    score = judge("choice", Cases(np.zeros((4, 2), np.float32), np.arange(4)), outputs, outputs)
    assert (score.sqnr_db, score.agreement, score.drop) == (None, 1.0, 0.0)
    assert score.interval[0] < 0 < score.interval[1]


def test_what_is_always_added_is_noise_though_the_reference_is_large():
    reference = 100 + np.array([[1.0], [-1.0]] * 50, np.float32)  # a variance of 1 around a mean of 100
    score = judge("ratio", Cases(np.zeros((100, 1), np.float32), None), reference, reference + np.float32(0.1))
    assert score.sqnr_db == pytest.approx(20, abs=0.1)
    assert score.agreement is None


def test_a_drop_is_the_share_of_labels_that_only_the_float_model_has_right():
    reference = np.eye(4, dtype=np.float32)
    compiled = reference[[1, 1, 2, 3]]
    score = judge("choice", Cases(np.zeros((4, 2), np.float32), np.arange(4)), reference, compiled)
    assert (score.agreement, score.drop) == (0.75, 0.25)


def test_an_anomaly_score_is_compared_by_its_relative_change():
    inputs = np.zeros((3, 2), np.float32)
    reference = np.array([[1, 1], [2, 2], [3, 3]], np.float32)
    score = judge("score", Cases(inputs, None), reference, reference * np.float32(np.sqrt(1.02)))
    assert score.shift == pytest.approx(0.02, abs=1e-6)
    assert score.agreement is None


# --- speed -----------------------------------------------------------------------------------------------------------


def test_a_model_that_takes_half_the_time_is_twice_as_fast():
    own = np.random.default_rng(0).normal(1e-3, 1e-5, 400)
    measured = speed(own, own * 2)
    assert measured.milliseconds == pytest.approx(1.0, abs=0.01)
    assert measured.ratio == pytest.approx(2.0)
    assert measured.interval == pytest.approx((2.0, 2.0))


def test_every_model_is_timed_in_every_round():
    runner = open_runner(write_tflite(small_network()), "tflite")
    seconds = time_models([runner, runner], np.zeros(runner.inputs[0].shape, np.float32), rounds=5)
    assert seconds.shape == (2, 5)
    assert (seconds > 0).all()


# --- cold processes --------------------------------------------------------------------------------------------------


def test_a_process_tells_its_time_and_peak_and_a_failure_its_last_line(tmp_path):
    measured = run(["-m", "edgefleet", "--version"])
    assert 0 < measured.seconds < 60
    assert 5 < measured.megabytes < 500
    with pytest.raises(ProcessFailed, match=r"edgefleet ended with status 2: .*no-such"):
        run(["-m", "edgefleet", "no-such"])


# --- published files -------------------------------------------------------------------------------------------------


def test_a_file_for_peers_computes_the_same_and_has_a_signature():
    graph = small_network()
    before = write_tflite(graph)
    after = plain_float(before)
    assert b"serving_default" in after
    for ours, theirs in zip(
        run_litert(after, random_inputs(graph)), run_litert(before, random_inputs(graph)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_each_figure_stands_beside_that_of_the_peer_which_is_best_at_it():
    small = result("peer", "small", size=800, score=Score(10.0, 0.99), milliseconds=2.0, cost=Cost(4.0, 50.0))
    true = result("peer", "true", size=2000, score=Score(25.0, 0.8), milliseconds=0.5, cost=Cost(0.5, 400.0))
    ours = result("edgefleet", "int8", size=400, score=Score(26.5, 0.98), milliseconds=0.25, cost=Cost(1.0, 100.0))
    *_, line = tables.beside_the_best([outcome(ours, small, true)], *COMPARED).splitlines()
    assert cells(line) == ["net", ".onnx", "int8", "0.50", "+1.5", "**-1.00**", "2.00", "**2.00**", "**2.00**"]


def test_bytes_and_speed_are_compared_in_one_format_and_fidelity_in_all():
    ours = result("edgefleet", "int8", form="tflite", size=900, score=Score(20.0))
    alike = result("peer", "alike", form="tflite", size=1000, score=Score(19.0))
    other = result("peer", "other", form="onnx", size=100, score=Score(22.0), milliseconds=0.1)
    *_, line = tables.beside_the_best([outcome(ours, alike, other)], *COMPARED).splitlines()
    assert cells(line)[3:7] == ["0.90", "**-2.0**", "-", "1.00"]


def test_a_smaller_shift_of_scores_is_a_gain():
    ours = result("edgefleet", "int8", score=Score(14.0, shift=0.002))
    peer = result("peer", "int8", score=Score(14.0, shift=0.005))
    *_, line = tables.beside_the_best([outcome(ours, peer, says="score")], *COMPARED).splitlines()
    assert cells(line)[5] == "+0.30"


def test_only_speeds_beyond_noise_count_as_lost():
    peer = result("peer", "int8", milliseconds=1.0)
    lines = [
        tables.beside_the_best([outcome(result("edgefleet", "int8", milliseconds=time), peer)], *COMPARED).splitlines()[
            -1
        ]
        for time in (1.02, 1.06)
    ]
    assert [cells(line)[6] for line in lines] == ["0.98", "**0.94**"]


def test_speeds_are_compared_where_the_same_is_timed():
    plain = result("peer", "plain", milliseconds=3.0)
    integer = result("peer", "integer", io="int8", milliseconds=1.0)
    ours = [result("edgefleet", "int8"), result("edgefleet", "int8, --io int8", io="int8")]
    _, _, *lines = tables.beside_the_best([outcome(*ours, plain, integer)], *COMPARED).splitlines()
    assert [cells(line)[6] for line in lines] == [
        "3.00", "1.00",
    ]  # fmt: skip
    *_, line = tables.beside_the_best([outcome(ours[0], integer)], *COMPARED).splitlines()
    assert cells(line)[6] == "-"


def test_every_contender_has_a_row_and_who_failed_is_told():
    failed = Failure(Contender("peer", "broken", "onnx", (), NOWHERE), "it ended with status 1")
    labelled = Score(20.0, 0.9, drop=0.01, interval=(-0.005, 0.025))
    shown = outcome(result("edgefleet", "auto", score=labelled, shipped="fp16"), result("peer", "x"), failures=[failed])
    text = tables.of_subject(shown)
    rows = [cells(line) for line in text.splitlines() if line.startswith("| .")]
    assert [row[:2] for row in rows] == [
        [".tflite", "edgefleet float"], [".onnx", "edgefleet float"], [".onnx", "**edgefleet auto** (fp16)"],
        [".onnx", "peer x"],
    ]  # fmt: skip
    assert rows[2][6] == "+1.00 [-0.50, +2.50]"
    assert len({len(row) for row in rows}) == 1
    assert "peer broken gave no .onnx: it ended with status 1" in text


# --- the picture -----------------------------------------------------------------------------------------------------


def test_the_picture_has_a_mark_for_each_quantised_model_and_says_which_are_hardly_so():
    shown = outcome(
        result("edgefleet", "int8", form="tflite"),
        result("edgefleet", "auto", score=Score(120.0)),
        result("onnxruntime", "U8S8"),
    )
    drawn = ET.fromstring(str(plot.draw([shown])))
    titles = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [
        "edgefleet int8, .tflite: 1,000 bytes, 20.0 dB", "onnxruntime U8S8, .onnx: 1,000 bytes, 20.0 dB",
    ]  # fmt: skip
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "not shown: auto, hardly quantised" in texts


# --- the page --------------------------------------------------------------------------------------------------------


def test_a_section_is_replaced_and_the_rest_stays():
    page = "before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n"
    assert replaced(page, "a", "new\n") == "before\n<!-- begin a -->\nnew\n<!-- end a -->\nafter\n"
    with pytest.raises(ValueError, match="begin b"):
        replaced(page, "b", "new")


def test_the_page_has_the_sections_that_the_command_writes():
    for section in BENCHMARKS:
        assert replaced(PAGE.read_text(), section, "").count(f"<!-- end {section} -->") == 1
    for picture in re.findall(r"!\[.*\]\((.*\.svg)\)", PAGE.read_text()):
        assert ET.parse(PAGE.parent / picture).getroot().tag.endswith("svg")
