"""Whatever is done to a sealed file, it opens to what was sealed or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_contract.errors import SealBroken
from edgefleet_contract.sealing import files

pytestmark = pytest.mark.property
KEY = bytes(range(32))
SEALED = files.seal_bytes(bytes(i % 251 for i in range(2 * files.SEGMENT_BYTES + 77)), KEY)


@given(place=st.integers(0, len(SEALED) - 1), flip=st.integers(1, 255))
@settings(max_examples=150)
def test_any_changed_byte_is_refused(place: int, flip: int) -> None:
    changed = bytearray(SEALED)
    changed[place] ^= flip
    with pytest.raises(SealBroken):
        files.unseal_bytes(bytes(changed), KEY)


@given(start=st.integers(0, len(SEALED) - 1), length=st.integers(1, len(SEALED)))
@settings(max_examples=150)
def test_any_removed_bytes_are_missed(start: int, length: int) -> None:
    with pytest.raises(SealBroken):
        files.unseal_bytes(SEALED[:start] + SEALED[start + length :], KEY)


@given(first=st.integers(0, len(SEALED) - 1), second=st.integers(0, len(SEALED) - 1))
@settings(max_examples=150)
def test_any_two_swapped_bytes_are_noticed(first: int, second: int) -> None:
    swapped = bytearray(SEALED)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    if swapped == SEALED:
        return
    with pytest.raises(SealBroken):
        files.unseal_bytes(bytes(swapped), KEY)


@given(extra=st.binary(min_size=1, max_size=2000), place=st.integers(0, len(SEALED)))
@settings(max_examples=150)
def test_any_added_bytes_are_refused(extra: bytes, place: int) -> None:
    with pytest.raises(SealBroken):
        files.unseal_bytes(SEALED[:place] + extra + SEALED[place:], KEY)
