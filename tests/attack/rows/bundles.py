"""Bundles, blocks and models on their way to a device."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any

from attack.defence import Defence, answering

_BUNDLE = "tests/unit/test_contract_bundle.py"
_AGENT = "tests/unit/test_agent_trust.py"


class _Any:
    """Equal to every length."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def _unchecked_chunks(_original: Any) -> Any:
    """Contents as they are, whatever their hash."""

    def chunks(self: Any, path: str) -> Iterator[bytes]:
        entry = self.manifest.file(path)
        self._file.seek(self._blobs[entry.sha256][1])
        yield self._file.read(entry.bytes)

    return chunks


def _frame_of_any_zip(_original: Any) -> Any:
    """The manifest out of any archive, as a library for archives finds it."""

    def read_frame(self: Any) -> None:
        from edgefleet_contract import manifest

        self.manifest_bytes = zipfile.ZipFile(self._file).read("manifest.json")
        self.manifest = manifest.decode(self.manifest_bytes)
        self.digest = manifest.digest(self.manifest_bytes)

    return read_frame


def _contents_of_any_zip(_original: Any) -> Any:
    def chunks(self: Any, path: str) -> Iterator[bytes]:
        yield zipfile.ZipFile(self._file).read(f"blobs/sha256/{self.manifest.file(path).sha256}")

    return chunks


ROWS = (
    Defence(
        "a bundle is changed, cut off or mixed from parts of others (partial bundle)",
        "one byte layout, and SHA-256 of every file under the manifest's signed digest",
        (
            f"{_BUNDLE}::test_every_single_flipped_bit_is_refused",
            f"{_BUNDLE}::test_every_truncation_and_an_appended_byte_are_refused",
            f"{_BUNDLE}::test_contents_that_do_not_match_their_entry_are_not_written",
            f"{_BUNDLE}::test_a_bundle_with_bytes_before_it_or_a_lost_start_is_damaged",
            "tests/unit/test_compiler_pack_bundle.py::test_a_damaged_bundle_leaves_no_folder_behind",
            "tests/integration/test_compiler_cli.py::test_a_bundle_with_one_bit_flipped_is_exit_4",
        ),
        {"edgefleet_contract.bundle.Bundle.chunks": _unchecked_chunks},
    ),
    Defence(
        "a bundle leaves its folder (paths with .., absolute paths, links)",
        "paths are checked with the manifest; the layout has no way to say a link",
        (f"{_BUNDLE}::test_a_path_that_leaves_the_folder_is_refused",),
        {"edgefleet_contract.manifest.is_safe_path": answering(True)},
    ),
    Defence(
        "a zip bomb, or an archive that two readers understand in two ways",
        "no zip is parsed: the manifest fixes every byte of the frame",
        (
            f"{_BUNDLE}::test_a_zip_that_another_tool_wrote_is_refused",
            f"{_BUNDLE}::test_a_zip_bomb_is_refused_before_it_is_read",
            f"{_BUNDLE}::test_a_zip_of_other_things_never_was_a_bundle",
        ),
        {
            "edgefleet_contract.bundle.Bundle._read_frame": _frame_of_any_zip,
            "edgefleet_contract.bundle.Bundle.chunks": _contents_of_any_zip,
        },
    ),
    Defence(
        "blocks that nobody asked for, or that contradict themselves",
        "a device takes blocks only of the file that it downloads; a block says how long it is",
        (
            "tests/unit/test_contract_messages.py::test_a_block_that_contradicts_itself_is_refused",
            f"{_AGENT}::test_blocks_nobody_asked_for_change_nothing",
        ),
        {
            "edgefleet_contract.blocks.block_count": answering(10),
            "edgefleet_contract.blocks.block_length": answering(_Any()),
        },
    ),
    Defence(
        "a small model that takes all memory when it runs",
        "inference in a child with an address-space limit, without the agent's identity",
        ("tests/unit/test_agent_onnxruntime.py::test_a_small_model_that_wants_a_gigabyte_gets_none",),
        {"resource.setrlimit": answering()},
    ),
)
