"""Folders of images as data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgefleet_compiler.data import Normalisation, open_data_set
from edgefleet_compiler.data.dataset import DataSet
from edgefleet_compiler.data.images import check_normalisation
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import DataMalformed, DataNotFound, UsageMalformed

FLOAT = np.dtype(np.float32)
NHWC = TensorInfo("image", (1, 4, 6, 3), FLOAT, "NHWC")
NCHW = TensorInfo("image", (1, 3, 4, 6), FLOAT, "NCHW")
GREY = TensorInfo("image", (1, 4, 6, 1), FLOAT, "NHWC")


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def opened(
    folder: Path, tensor: TensorInfo, labels: tuple[str, ...] = (), **normalisation: tuple[float, ...]
) -> DataSet:
    return open_data_set(folder, [tensor], normalisation=Normalisation(**normalisation), labels=labels)


@pytest.mark.parametrize("tensor", [NHWC, NCHW], ids=["NHWC", "NCHW"])
def test_pictures_are_scaled_to_the_input_in_its_axes(tmp_path: Path, tensor: TensorInfo) -> None:
    picture(tmp_path / "a.png", (10, 20, 30), size=(60, 40))
    (sample,) = opened(tmp_path, tensor).samples()
    value = sample["image"]
    assert value.shape == tensor.shape
    channels = np.moveaxis(value, tensor.axes.index("C"), -1)
    np.testing.assert_array_equal(channels, np.broadcast_to([10, 20, 30], (1, 4, 6, 3)))


def test_pixels_are_normalised_per_channel(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (10, 20, 30))
    (sample,) = opened(tmp_path, NHWC, mean=(10.0, 10.0, 10.0), std=(2.0,)).samples()
    np.testing.assert_array_equal(sample["image"][0, 0, 0], [0, 5, 10])


def test_colour_becomes_grey_where_the_model_is_grey(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (90, 90, 90))
    (sample,) = opened(tmp_path, GREY).samples()
    assert sample["image"].shape == (1, 4, 6, 1)
    assert set(sample["image"].flat) == {90.0}


def test_subfolders_name_the_classes(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.png", (0, 0, 0))
    alphabetical, listed = opened(tmp_path, NHWC), opened(tmp_path, NHWC, labels=("fish", "dog", "cat"))
    assert alphabetical.targets is not None
    assert listed.targets is not None
    assert alphabetical.targets.tolist() == [0, 1]
    assert listed.targets.tolist() == [2, 1]
    with pytest.raises(DataMalformed, match="dog"):
        opened(tmp_path, NHWC, labels=("cat",))


def test_pictures_without_subfolders_have_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (0, 0, 0))
    assert opened(tmp_path, NHWC).targets is None


def test_the_hash_follows_names_and_contents(tmp_path: Path) -> None:
    picture(tmp_path / "1" / "a.png", (0, 0, 0))
    picture(tmp_path / "2" / "a.png", (0, 0, 0))
    picture(tmp_path / "3" / "a.png", (1, 0, 0))
    hashes = [opened(tmp_path / name, NHWC).sha256 for name in "123"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataMalformed, match="no images"):
        opened(tmp_path, NHWC)


def test_a_folder_needs_a_model_that_takes_one_image(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (0, 0, 0))
    with pytest.raises(DataMalformed, match="npz"):
        opened(tmp_path, TensorInfo("signal", (1, 640), FLOAT))


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nonsense")
    with pytest.raises(DataMalformed, match=r"a\.png"):
        list(opened(tmp_path, NHWC).samples())


@pytest.mark.attack
def test_a_picture_that_unpacks_to_far_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", (0, 0, 0), size=(200, 200))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    with pytest.raises(DataMalformed, match="decompression bomb"):
        list(opened(tmp_path, NHWC).samples())


def test_normalisation_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageMalformed, match="--mean has 2 values"):
        check_normalisation(Normalisation((1.0, 2.0)), [NHWC])
    with pytest.raises(UsageMalformed, match="takes no image"):
        check_normalisation(Normalisation(), [TensorInfo("signal", (1, 640), FLOAT)])
    with pytest.raises(UsageMalformed, match="--std"):
        Normalisation(std=(0.0,))


def test_a_path_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="no data set"):
        opened(tmp_path / "none", NHWC)


def test_chosen_pictures_are_read_without_those_before_them(tmp_path: Path) -> None:
    for index, name in enumerate("abcd"):
        picture(tmp_path / f"{name}.png", (index, 0, 0))
    every = list(opened(tmp_path, NHWC).samples())
    (tmp_path / "b.png").write_bytes(b"no picture")
    chosen = list(opened(tmp_path, NHWC).chosen([3, 0]))
    assert [index for index, _ in chosen] == [0, 3]
    for index, sample in chosen:
        np.testing.assert_array_equal(sample["image"], every[index]["image"])
    with pytest.raises(DataMalformed, match=r"b\.png"):
        opened(tmp_path, NHWC).pick([1])
