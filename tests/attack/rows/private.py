"""What is kept from other eyes."""

from __future__ import annotations

from typing import Any

from attack.defence import Defence, answering, value
from edgefleet_contract.manifest import Consent, SamplingPolicy

_SEALING = "tests/unit/test_contract_sealing.py"
_PRIVATE = "tests/unit/test_server_private.py"
_SAMPLES = "tests/unit/test_server_samples.py"
_END_TO_END = "tests/integration/test_private_end_to_end.py"
_WHOLE_WAY = f"{_END_TO_END}::test_a_private_bundle_and_its_samples_are_read_by_whom_they_are_for_alone"


class _Clear:
    """A cipher that hides nothing."""

    def __init__(self, _key: bytes) -> None:
        pass

    def encrypt(self, _nonce: bytes, data: bytes, _extra: bytes | None) -> bytes:
        return data + bytes(16)

    def decrypt(self, _nonce: bytes, data: bytes, _extra: bytes | None) -> bytes:
        return data[:-16]


def _keeping_deleted(prepare: Any) -> Any:
    def prepare_carelessly(connection: Any, entry: Any) -> None:
        prepare(connection, entry)
        connection.cursor().execute("PRAGMA secure_delete=OFF").close()

    return prepare_carelessly


_ANY_CONSENT = SamplingPolicy(1.0, 100, Consent("none was given", "nobody", "", 1))

ROWS = (
    Defence(
        "a private bundle is read by a thief of blobs or database, or by an eavesdropper",
        "bundles are sealed with AES-256-GCM before they are uploaded; their keys lie apart",
        (
            f"{_PRIVATE}::test_a_thief_of_the_servers_files_but_its_keys_finds_nothing_of_a_private_artifact",
            _WHOLE_WAY,
            "tests/unit/test_server_private.py::test_a_key_that_does_not_open_the_file_is_not_kept",
            "tests/unit/test_server_private.py::test_a_private_release_pushed_again_in_the_clear_is_refused_before_anything_is_uploaded",
        ),
        {"edgefleet_contract.sealing.files.AESGCM": value(_Clear)},
    ),
    Defence(
        "segments of a sealed file are swapped, repeated or cut off",
        "a segment opens only at its place, and the last one only as the last",
        (f"{_SEALING}::test_segments_that_are_swapped_repeated_or_missing_do_not_open",),
        {"edgefleet_contract.sealing.files._nonce": answering(bytes(12))},
    ),
    Defence(
        "a content key is used for another device or bundle",
        "keys are wrapped to one device's key by HPKE, under the bundle's digest",
        (
            f"{_PRIVATE}::test_a_key_wrapped_for_another_device_or_bundle_opens_nothing",
            "tests/attack/test_attack_private_bundles.py::test_a_device_with_any_other_key_stays_with_what_it_runs",
        ),
        {"edgefleet_contract.sealing.content._context": answering(b"")},
    ),
    Defence(
        "whoever keeps a sample changes what its label says",
        "a sample's key opens under its label alone",
        (
            "tests/unit/test_contract_samples.py::test_a_label_that_somebody_changed_opens_nothing",
            "tests/unit/test_server_samples.py::test_a_sample_with_the_label_of_another_device_is_refused",
        ),
        {"edgefleet_contract.samples._context": answering(b"")},
    ),
    Defence(
        "samples are collected without consent",
        "agent and server take samples only of a bundle whose signed manifest carries a consent",
        (f"{_SAMPLES}::test_without_a_consent_nothing_is_kept_nor_acknowledged", _WHOLE_WAY),
        {"edgefleet_server.samples.service._policy": answering(_ANY_CONSENT)},
    ),
    Defence(
        "a device floods the server with samples",
        "a device has its share of a day, of samples of bounded size",
        (
            f"{_SAMPLES}::test_a_device_that_floods_has_its_share_of_a_day",
            "tests/unit/test_server_samples.py::test_a_piece_that_lies_is_refused",
        ),
        {"edgefleet_server.samples.service._CATCHING_UP": value(1_000)},
    ),
    Defence(
        "a redaction hook fails, and the raw input is sent",
        "what a hook does not let through is lost",
        ("tests/unit/test_agent_samples.py::test_the_owners_function_decides_and_its_failure_sends_nothing",),
        {"edgefleet_agent.redaction.parse_hooks": answering([])},
    ),
    Defence(
        "erased data are read from the database's file",
        "SQLite overwrites what it deletes, and the write-ahead log is cut off after an erasure",
        (f"{_SAMPLES}::test_erasing_a_device_leaves_nothing_of_it_in_any_file_and_others_alone",),
        {"edgefleet_server.db._prepare_sqlite": _keeping_deleted},
    ),
)
