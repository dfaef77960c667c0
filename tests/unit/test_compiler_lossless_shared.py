"""Lossless pruning of published int8 models: what there was to take, and that nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert.interpreter import OpResolverType

from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.exports import export_kept, pruned_losslessly
from edgefleet_compiler.importers import import_model, read_model
from edgefleet_compiler.lossless.prune import Pruned
from edgefleet_compiler.lossless.record import NOTHING, lossless_pruning
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pack.provenance import check_provenance
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_contract.bundle import Bundle
from support.prunable_graphs import differing, differing_emulated, structured_inputs
from support.tflite_graphs import SHARED_INT8, SHARED_MODELS

pytestmark = pytest.mark.shared


def pruned(name: str) -> Pruned:
    imported = import_model(read_model(SHARED_MODELS / f"{name}.tflite"), input_shapes={})
    assert imported.lowered is not None
    found = pruned_losslessly(export_kept(imported.lowered, "source")).pruned
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("resolver", "n"),
    [(OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, 300), (OpResolverType.BUILTIN_REF, 40)],
    ids=["litert", "litert-reference"],
)
def test_every_value_left_of_visual_wake_words_is_the_same(resolver: OpResolverType, n: int) -> None:
    assert differing(pruned("vww_96_int8"), structured_inputs((1, 96, 96, 3), n), resolver) == 0


def test_so_it_is_in_tflite_micro() -> None:
    assert differing_emulated(pruned("vww_96_int8"), structured_inputs((1, 96, 96, 3), 24), Dialect.TFLITE_MICRO) == 0


def test_visual_wake_words_loses_six_sevenths_of_its_weights_and_half_its_work(tmp_path: Path) -> None:
    source = SHARED_MODELS / "vww_96_int8.tflite"
    (outcome,) = compile_model(CompileOptions(source, ("nrf52840",), tmp_path), Silent())
    report = outcome.report
    assert report.artifact is not None
    assert report.bundle is not None
    assert report.lossless is not None
    assert report.artifact.bytes <= 53_300
    assert report.macs is not None
    assert report.macs <= 3_730_000
    assert report.lossless.before.weights_bytes > 6 * report.lossless.after.weights_bytes
    with Bundle(Path(report.bundle.path)) as bundle:
        assert check_provenance(bundle, source).outcome == "rechecked"


@pytest.mark.parametrize("name", sorted({*SHARED_INT8} - {"vww_96_int8"}))
def test_the_others_have_nothing_to_take_and_say_so(name: str) -> None:
    found = pruned(name)
    assert found.data is found.whole_data
    assert lossless_pruning(found).effect == NOTHING
