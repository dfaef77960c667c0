"""Calibration and validation sets that are alike, and such that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.data import DataSet
from edgefleet_compiler.data.likeness import CASES, cases_compared, unlike
from edgefleet_compiler.tensors import Sample

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
CIFAR = ROOT.parent / "shared" / "data"
Images = NDArray[Any]


def data_set(**arrays: Images) -> DataSet:
    def samples() -> Iterator[Sample]:
        for rows in zip(*arrays.values(), strict=True):
            yield {name: row[np.newaxis].astype(np.float32) for name, row in zip(arrays, rows, strict=True)}

    first = next(iter(arrays.values()))
    return DataSet(Path("set"), str(hash(first.tobytes())), len(first), None, samples)


def load(path: Path, name: str = "x") -> Images:
    with np.load(path) as arrays:
        return np.asarray(arrays[name], np.float32 if name == "x" else np.int64)


def told(calibration: Images, validation: Images) -> list[str]:
    return unlike(data_set(image=calibration), data_set(image=validation))


SPOILED: dict[str, Callable[[Images], Images]] = {
    "divided by 255": lambda images: images / 255,
    "of another range": lambda images: images / 127.5 - 1,
    "inverted": lambda images: images.max() - images,
    "brighter": lambda images: images + 0.2 * images.max(),
    "of more contrast": lambda images: images * 1.3,
}
TURNED: dict[str, Callable[[Images], Images]] = {
    "blue first": lambda images: images[..., ::-1],
    "upside down": lambda images: images[:, ::-1],
}


def test_digits_of_one_source_are_alike() -> None:
    assert told(load(DIGITS / "calibration.npz"), load(DIGITS / "validation.npz")) == []
    assert told(load(DIGITS / "train.npz"), load(DIGITS / "validation.npz")) == []


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_digits_prepared_otherwise_are_told(spoil: Callable[[Images], Images]) -> None:
    (warning,) = told(spoil(load(DIGITS / "calibration.npz")), load(DIGITS / "validation.npz"))
    assert "unlike the validation set: in the input 'image'" in warning
    assert "Kolmogorov-Smirnov over 250 and 250 cases" in warning


def test_digits_of_one_class_are_told() -> None:
    images, labels = load(DIGITS / "calibration.npz"), load(DIGITS / "calibration.npz", "y")
    for digit in range(10):
        assert len(told(images[labels == digit], load(DIGITS / "validation.npz"))) == 1


@pytest.mark.shared
def test_pictures_of_one_source_are_alike() -> None:
    sets = [load(CIFAR / f"cifar10_{name}.npz") for name in ("calibration", "validation", "train")]
    assert told(sets[0], sets[1]) == told(sets[0], sets[2]) == told(sets[2], sets[1]) == []


@pytest.mark.shared
@pytest.mark.parametrize("spoil", {**SPOILED, **TURNED}.values(), ids={**SPOILED, **TURNED})
def test_pictures_prepared_otherwise_are_told(spoil: Callable[[Images], Images]) -> None:
    calibration = load(CIFAR / "cifar10_calibration.npz")
    assert len(told(spoil(calibration), load(CIFAR / "cifar10_validation.npz"))) == 1


@pytest.mark.parametrize("count", [3, 20, 200])
def test_false_alarms_are_rare(count: int) -> None:
    """100 pairs of sets from one source, where one in a thousand may be told."""
    random = np.random.default_rng(count)
    alarms = [told(*(random.exponential(size=(count, 4, 4, 3)) for _ in range(2))) for _ in range(100)]
    assert sum(map(len, alarms)) <= 1


def test_the_input_that_differs_is_named() -> None:
    random = np.random.default_rng(0)
    same = [random.normal(size=(60, 5)) for _ in range(2)]
    first = data_set(left=same[0], right=random.normal(size=(60, 8)))
    second = data_set(left=same[1], right=random.normal(size=(60, 8)) + 3)
    (warning,) = unlike(first, second)
    assert "'right', its mean differs" in warning


def test_few_cases_prove_nothing() -> None:
    assert told(np.eye(2, 4), np.full((2, 4), 100.0)) == []


def test_what_is_the_same_in_every_case_is_left_to_another_warning() -> None:
    assert told(np.zeros((100, 4)), np.random.default_rng(0).normal(size=(100, 4))) == []


def test_one_set_given_twice_is_not_read() -> None:
    def unreadable() -> Iterator[Sample]:
        raise AssertionError

    data = DataSet(Path("set"), "one", 10, None, unreadable)
    assert unlike(data, data) == []


def test_large_inputs_and_numbers_cost_no_more() -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(60, 300, 200, 3)).astype(np.float32)
    assert told(images[:30], images[30:]) == []
    assert len(told(images[:30] * 2, images[30:])) == 1


def test_every_case_that_is_compared_is_told_of() -> None:
    random = np.random.default_rng(0)
    first, second = data_set(x=random.normal(size=(40, 3))), data_set(x=random.normal(size=(400, 3)))
    done: list[None] = []
    unlike(first, second, lambda: done.append(None))
    assert len(done) == cases_compared(first, second) == 40 + CASES
