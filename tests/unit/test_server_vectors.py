"""What an operator gives as rollout vectors is refused before it could switch the gate off, or hold a rollout."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from edgefleet_contract.errors import DataMalformed
from edgefleet_server.cli.vectors import check_vectors
from edgefleet_server.data_folder import DataFolder

CASES = np.zeros((5, 8, 8, 1), np.float32)
LABELS = np.arange(5)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_labelled_cases_are_counted(tmp_path: Path, compress: object, dtype: type) -> None:
    assert callable(compress)
    compress(tmp_path / "v.npz", x=CASES, y=LABELS.astype(dtype))
    assert check_vectors(tmp_path / "v.npz") == 5


@pytest.mark.parametrize(
    ("arrays", "seen"),
    [
        ({"x": CASES}, "no labels"),
        ({"y": LABELS}, "no cases"),
        ({}, "no labels"),
        ({"x": CASES, "y": LABELS[:4]}, "shape"),
        ({"x": CASES, "y": LABELS.astype(float)}, "element kind 'f'"),
        ({"x": CASES[:0], "y": LABELS[:0]}, "shape"),
        ({"x": np.array([None] * 5), "y": LABELS}, "element kind 'O'"),
        ({"x": CASES, "y": LABELS[:, None]}, "shape"),
    ],
)
def test_vectors_that_could_judge_nothing_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], seen: str) -> None:
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(DataMalformed, match=seen):
        check_vectors(tmp_path / "v.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(DataMalformed):
        check_vectors(tmp_path / "v.npz")
    with pytest.raises(DataMalformed, match="cannot be read"):
        check_vectors(tmp_path / "missing.npz")


def test_the_data_folder_and_all_above_it_that_is_made_are_for_the_owner_alone(tmp_path: Path) -> None:
    DataFolder(tmp_path / "home" / "server").close()
    for path in (tmp_path / "home", tmp_path / "home" / "server", tmp_path / "home" / "server" / "keys"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
