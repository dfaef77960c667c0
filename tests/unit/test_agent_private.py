"""A private bundle on the device: sealed at rest, opened in the inference child alone, by this device alone."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from edgefleet_agent import health
from edgefleet_agent.inference import InferenceChild, Limits
from edgefleet_agent.private import ContentKeys
from edgefleet_contract.errors import EdgefleetError, SealBroken
from support.bundles import RuntimeName
from support.private_bundles import DeviceKey, PrivateSlot, artifact_of


@pytest.mark.parametrize("runtime", get_args(RuntimeName))
def test_a_private_model_runs_and_its_artifact_is_nowhere_on_the_disk(tmp_path: Path, runtime: RuntimeName) -> None:
    held = PrivateSlot(tmp_path, runtime)
    key = ContentKeys(held.slots, held.device.holders).of_slot("a")
    with InferenceChild(held.slots.path("a"), Limits(), key) as child:
        health.check(child, held.manifest)
    secret = artifact_of(held.plain)[1000:1064]
    assert not [path for path in held.folder.root.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert held.slots.is_whole("a", held.digest)


def test_another_device_cannot_open_the_slot(tmp_path: Path) -> None:
    held = PrivateSlot(tmp_path)
    with pytest.raises(SealBroken):
        ContentKeys(held.slots, DeviceKey().holders).of_slot("a")


def test_after_a_renewal_the_slot_is_wrapped_to_the_new_key_and_the_old_one_is_not_needed(tmp_path: Path) -> None:
    held, renewed = PrivateSlot(tmp_path), DeviceKey()
    keys = ContentKeys(held.slots, lambda: [renewed, held.device])
    assert keys.of_slot("a") == held.key
    keys.renew()
    assert ContentKeys(held.slots, renewed.holders).of_slot("a") == held.key
    assert held.slots.is_whole("a", held.digest)


def test_a_slot_that_cannot_be_renewed_stays_as_it_is(tmp_path: Path) -> None:
    held = PrivateSlot(tmp_path)
    ContentKeys(held.slots, DeviceKey().holders).renew()
    assert ContentKeys(held.slots, held.device.holders).of_slot("a") == held.key


def test_a_child_with_the_wrong_key_loads_nothing(tmp_path: Path) -> None:
    held = PrivateSlot(tmp_path)
    with pytest.raises(SealBroken):
        InferenceChild(held.slots.path("a"), Limits(), bytes(32))
    with pytest.raises(EdgefleetError):
        InferenceChild(held.slots.path("a"), Limits())


@pytest.mark.parametrize("name", ["bundle.sealed", "manifest.json"])
def test_a_damaged_file_makes_the_slot_worth_nothing(tmp_path: Path, name: str) -> None:
    held = PrivateSlot(tmp_path)
    path = held.slots.path("a") / name
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    assert not held.slots.is_whole("a", held.digest)


def test_a_plain_bundle_over_a_private_one_leaves_no_key(tmp_path: Path) -> None:
    held = PrivateSlot(tmp_path)
    held.slots.fill("a", held.plain)
    assert ContentKeys(held.slots, held.device.holders).of_slot("a") is None
    assert held.slots.is_whole("a", held.digest)
