"""Bundles, blocks and models on their way to a device."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any

from attack.defence import Defence, answering

_BUNDLE = "tests/unit/test_contract_bundle.py"
_TRANSFERS = "tests/attack/test_attack_transfers.py"
_DEPLOYMENT = "tests/unit/test_agent_deployment.py"
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


def _anything(original: Any) -> Any:
    """A download that takes whatever is sent."""

    def take(self: Any, block: Any) -> bool:
        if block.total_bytes == self.reference.bytes:
            return bool(original(self, block))
        self._disk.write_blocks(self._part, [(min(block.index, 64) * len(block.data), block.data)])
        return False

    return take


def _unhashed(_original: Any) -> Any:
    def finish(self: Any) -> Any:
        self.flush()
        self._disk.rename(self._part, self._target)
        return self._target

    return finish


def _believed(_original: Any) -> Any:
    """The manifest of whatever bundle came."""

    def check_bundle(path: Any, *_: object) -> Any:
        from edgefleet_contract.bundle import Bundle

        with Bundle(path) as bundle:
            return bundle.manifest

    return check_bundle


def _stubborn(original: Any) -> Any:
    """Whoever fetches something fetches nothing else before it is there."""

    def begin(self: Any, references: Any) -> bool:
        return False if self._current is not None else bool(original(self, references))

    return begin


def _room_for_more(original: Any) -> Any:
    from edgefleet_contract.topics import Topic

    invented = Topic("config", "fleet/v1/d/{device}/down/config", "down", 1, True, "json", "invented")
    return original | {invented: 1}


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
        "endless data: blocks without end",
        "a download is exactly as long as was signed; blocks of another length are dropped",
        (
            f"{_TRANSFERS}::test_endless_data_fills_neither_disk_nor_memory",
            f"{_TRANSFERS}::test_a_flood_of_messages_takes_the_room_of_a_few",
        ),
        {"edgefleet_agent.download.Download.take": _anything},
    ),
    Defence(
        "mix and match: right blocks of wrong files, or metadata of several states",
        "SHA-256 of the whole file as it was signed; snapshot and timestamp name what belongs together",
        (
            f"{_TRANSFERS}::test_blocks_of_another_file_under_the_right_name_are_never_run",
            "tests/attack/test_attack_metadata.py::test_files_of_several_states_do_not_go_together",
            "tests/attack/test_attack_metadata.py::test_missing_metadata_are_told",
        ),
        {
            "edgefleet_agent.download.Download.finish": _unhashed,
            "edgefleet_agent.verify.check_bundle": _believed,
        },
    ),
    Defence(
        "slow retrieval, and dropped requests",
        "the old model serves on, a newer assignment takes over, and what is lost is asked for again",
        (
            f"{_TRANSFERS}::test_slow_retrieval_holds_up_neither_serving_nor_a_newer_assignment",
            "tests/attack/test_attack_wire.py::test_drop_requests_and_slow_retrieval_only_delay",
        ),
        {"edgefleet_agent.fetch.Fetcher.begin": _stubborn},
    ),
    Defence(
        "configuration through the broker",
        "there is no topic for it: settings are the device's own file, and what changes behaviour is signed",
        (f"{_TRANSFERS}::test_configuration_that_comes_through_the_broker_is_none",),
        {"edgefleet_agent.inbox._ROOM": _room_for_more},
    ),
    Defence(
        "a bad model with a good signature",
        "golden vectors in a trial before it serves, probation by cases that it did not bring, rollback",
        (
            f"{_DEPLOYMENT}::test_outputs_off_the_golden_vectors_revert_and_leave_the_old_model_serving",
            f"{_DEPLOYMENT}::test_an_artifact_that_does_not_load_reverts",
            "tests/integration/test_agent_real_server.py::test_a_release_is_rolled_out_and_a_worse_one_rolled_back",
        ),
        {"edgefleet_agent.health.check": answering()},
    ),
    Defence(
        "a small model that takes all memory when it runs",
        "inference in a child with an address-space limit, without the agent's identity",
        ("tests/unit/test_agent_onnxruntime.py::test_a_small_model_that_wants_a_gigabyte_gets_none",),
        {"resource.setrlimit": answering()},
    ),
)
