"""Data files: read row by row, cast only where nothing is lost, refused with what was seen and expected."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.data import DataSet, Normalisation, open_data_set
from edgefleet_compiler.data.npz import open_npz
from edgefleet_compiler.data.variety import Variety
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import DataMalformed

FLOAT = np.dtype(np.float32)
IMAGE = TensorInfo("image", (1, 4, 4, 3), FLOAT, "NHWC")


def write(path: Path, *, compressed: bool = False, **arrays: object) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_come_out_as_they_went_in(tmp_path: Path, compressed: bool, order: str) -> None:
    values = np.random.default_rng(0).normal(size=(5, 4, 4, 3)).astype(np.float32, order=order)  # type: ignore[call-overload]
    data = open_npz(write(tmp_path / "d.npz", compressed=compressed, x=values, y=np.arange(5)), [IMAGE])
    assert (data.n, data.has_class_labels) == (5, True)
    for _ in range(2):
        rows = [sample["image"] for sample in data.samples()]
        assert all(row.shape == (1, 4, 4, 3) and row.dtype == np.float32 for row in rows)
        np.testing.assert_array_equal(np.concatenate(rows), values)


def test_an_array_may_be_called_by_the_inputs_name(tmp_path: Path) -> None:
    data = open_npz(write(tmp_path / "d.npz", image=np.zeros((2, 4, 4, 3), np.uint8)), [IMAGE])
    assert data.targets is None
    assert [sample["image"].dtype for sample in data.samples()] == [FLOAT, FLOAT]


def test_several_inputs_need_an_array_each(tmp_path: Path) -> None:
    inputs = [TensorInfo("a", (1, 2), FLOAT), TensorInfo("b", (1, 3), FLOAT)]
    path = write(tmp_path / "d.npz", a=np.ones((4, 2), np.float32), b=np.zeros((4, 3), np.float32))
    assert [list(sample) for sample in open_npz(path, inputs).samples()] == [["a", "b"]] * 4
    with pytest.raises(DataMalformed, match="'b'"):
        open_npz(write(tmp_path / "e.npz", a=np.ones((4, 2), np.float32), x=np.ones((4, 3))), inputs)


@pytest.mark.parametrize(
    "values",
    [
        np.full((1, 4, 4, 3), 255, np.uint8),
        np.full((1, 4, 4, 3), 2**24, np.int64),
        np.full((1, 4, 4, 3), 0.5, np.float64),
        np.full((1, 4, 4, 3), 0.1, np.float16),
        np.full((1, 4, 4, 3), True),
        np.full((1, 4, 4, 3), 7, ">i4"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_casts_that_lose_nothing_happen_in_silence(tmp_path: Path, values: np.ndarray) -> None:
    (sample,) = open_npz(write(tmp_path / "d.npz", x=values), [IMAGE]).samples()
    np.testing.assert_array_equal(sample["image"], values)
    assert sample["image"].dtype == FLOAT


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((1, 4, 4, 3), 0.1), "0.1"),
        (np.full((1, 4, 4, 3), 2**24 + 1), "16777217"),
        (np.full((1, 4, 4, 3), 1e300), "1e+300"),
    ],
    ids=["fraction", "integer", "overflow"],
)
def test_a_lossy_cast_is_the_error(tmp_path: Path, values: np.ndarray, said: str) -> None:
    data = open_npz(write(tmp_path / "d.npz", x=values), [IMAGE])
    with pytest.raises(DataMalformed) as refused:
        list(data.samples())
    assert said in refused.value.seen
    assert str(values.dtype) in refused.value.seen
    assert "float32" in refused.value.expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(tmp_path: Path, bad: float) -> None:
    values = np.zeros((5, 4, 4, 3), np.float32)
    values[3, 1, 2, 0] = bad
    data = open_npz(write(tmp_path / "d.npz", x=values), [IMAGE])
    with pytest.raises(DataMalformed, match="row 3") as refused:
        list(data.samples())
    assert refused.value.facts["row"] == 3


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": np.zeros((2, 4, 4, 3))}, "'image' or 'x'"),
        ({"x": np.zeros((2, 4, 4))}, "(n, 4, 4, 3)"),
        ({"x": np.zeros((2, 3, 4, 4))}, "another order"),
        ({"x": np.zeros((0, 4, 4, 3))}, "no rows"),
        ({"x": np.zeros((2, 4, 4, 3)), "y": np.zeros(3, int)}, "different numbers of rows"),
        ({"x": np.zeros((2, 4, 4, 3), complex)}, "complex"),
        ({"x": np.array(["a", "b"])}, "<U1"),
        ({"x": np.float32(1.0)}, "no axes"),
        ({"x": np.zeros((2, 4, 4, 3)), "y": np.array([0.0, np.nan])}, "'y' holds NaN"),
        ({}, "holds the arrays []"),
    ],
    ids=["name", "shape", "axes", "rows", "labels", "complex", "text", "scalar", "targets", "empty"],
)
def test_what_the_model_cannot_take_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(DataMalformed) as refused:
        open_npz(write(tmp_path / "d.npz", **arrays), [IMAGE])
    assert said in str(refused.value)


@pytest.mark.attack
def test_a_pickle_in_a_data_file_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataMalformed, match="object"):
        open_npz(path, [IMAGE])


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"nonsense", b"\x93NUMPY\x01\x00"], ids=repr)
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(data)
    with pytest.raises(DataMalformed, match="is no"):
        open_npz(path, [IMAGE])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_data_file_is_refused(tmp_path: Path, compressed: bool) -> None:
    whole = np.random.default_rng(0).normal(size=(64, 4, 4, 3)).astype(np.float32)
    path = write(tmp_path / "d.npz", compressed=compressed, x=whole)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data[: -len(data) // 4])
    with pytest.raises(DataMalformed):
        list(open_npz(path, [IMAGE]).samples())


@pytest.mark.attack
def test_a_header_that_promises_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w") as entry:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 4, 4, 3)}
        np.lib.format.write_array_header_1_0(entry, header)
    with pytest.raises(DataMalformed, match="size that its header says"):
        open_npz(path, [IMAGE])


@pytest.mark.parametrize("compressed", [False, True])
def test_reading_a_set_takes_the_memory_of_a_row(tmp_path: Path, compressed: bool) -> None:
    wide = TensorInfo("image", (1, 64, 64, 3), FLOAT)
    path = write(tmp_path / "d.npz", compressed=compressed, x=np.zeros((400, 64, 64, 3), np.uint8))
    data = open_npz(path, [wide])
    tracemalloc.start()
    try:
        for sample in data.samples():
            del sample
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # the set has 4.9 MB


def test_cases_are_picked_evenly_and_in_order(tmp_path: Path) -> None:
    values = np.arange(10, dtype=np.float32).reshape(10, 1) * np.ones((10, 2), np.float32)
    data = open_npz(write(tmp_path / "d.npz", x=values), [TensorInfo("v", (1, 2), FLOAT)])
    assert data.spread(4) == [0, 3, 6, 9]
    assert data.spread(100) == list(range(10))
    assert [float(case["v"][0, 0]) for case in data.pick([7, 2])] == [2.0, 7.0]


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    first = open_npz(write(tmp_path / "a.npz", x=np.zeros((2, 4, 4, 3))), [IMAGE])
    second = open_npz(write(tmp_path / "b.npz", x=np.ones((2, 4, 4, 3))), [IMAGE])
    assert len({first.sha256, second.sha256}) == 2


def test_a_column_of_labels_is_a_list_of_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "d.npz", x=np.zeros((3, 4, 4, 3)), y=np.array([[0], [1], [2]]))
    data = open_npz(path, [IMAGE])
    assert data.has_class_labels
    assert data.targets is not None
    assert data.targets.tolist() == [0, 1, 2]


def test_every_error_names_the_file_that_it_is_about(tmp_path: Path) -> None:
    def opened(path: Path) -> DataSet:
        return open_data_set(path, [IMAGE], normalisation=Normalisation(), labels=())

    with pytest.raises(DataMalformed, match=r"shape\.npz.*has shape"):
        opened(write(tmp_path / "shape.npz", x=np.zeros((2, 3))))
    with pytest.raises(DataMalformed, match=r"empty\.npz.*no rows"):
        opened(write(tmp_path / "empty.npz", x=np.zeros((0, 4, 4, 3))))
    rotten = opened(write(tmp_path / "rotten.npz", x=np.full((2, 4, 4, 3), np.nan)))
    with pytest.raises(DataMalformed, match=r"rotten\.npz.*NaN") as refused:
        list(rotten.samples())
    assert refused.value.facts["path"] == str(tmp_path / "rotten.npz")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 2)), "0 throughout"),
        (np.array([[1e-42, 2e-42], [3e-42, 0.0], [0.0, 0.0]]), "0 throughout"),
        (np.full((3, 2), 5.0), "every case is the same"),
        (np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]]), None),
        (np.array([[1.0, 2.0]]), None),
    ],
)
def test_a_set_that_shows_nothing_of_an_input_is_noticed(values: np.ndarray, said: str | None) -> None:
    variety = Variety()
    cases = [{"x": row.astype(np.float32)} for row in values]
    assert list(variety.watched(cases)) == cases
    assert [said in warning for warning in variety.warnings() if said] == ([True] if said else [])
    assert bool(variety.warnings()) is (said is not None)
