"""Sealed files and wrapped keys: the RFC's vectors, the library's own HPKE as a peer, and what must not open."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract import keys
from edgefleet_contract.errors import SealBroken
from edgefleet_contract.sealing import files, wrapping

KEY = bytes(range(32))
CONTEXT = b"a test"


def test_hpke_gives_the_published_vector_of_rfc_9180_a_3_1() -> None:
    ephemeral = ec.derive_private_key(
        0x4995788EF4B9D6132B249CE59A77281493EB39AF373D236A1FE415CB0C2D7BEB, ec.SECP256R1()
    )
    recipient = ec.derive_private_key(
        0xF3CE7FDAE57E1A310D87F1EBBDE6F328BE0A99CDBCADF4D6589CF29DE4B8FFD2, ec.SECP256R1()
    )
    plain = b"Beauty is truth, truth beauty"
    info, aad = b"Ode on a Grecian Urn", b"Count-0"
    enc, ciphertext = wrapping._seal(ephemeral, recipient.public_key(), plain, info, aad)
    assert enc.hex() == (
        "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9"
        "8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4"
    )
    assert ciphertext.hex() == (
        "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434"
    )
    exchange = wrapping.exchange_with(recipient)
    assert wrapping._open(enc, ciphertext, exchange, recipient.public_key(), info, aad) == plain


def test_hpke_agrees_with_the_implementation_of_the_cryptography_library_both_ways() -> None:
    suite = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
    key = keys.generate_device_key()
    theirs = suite.encrypt(KEY, key.public_key(), info=CONTEXT)
    exchange = wrapping.exchange_with(key)
    assert wrapping._open(theirs[:65], theirs[65:], exchange, key.public_key(), CONTEXT, b"") == KEY
    ours = b"".join(wrapping._seal(keys.generate_device_key(), key.public_key(), KEY, CONTEXT, b""))
    assert suite.decrypt(ours, key, info=CONTEXT) == KEY


def test_a_wrapped_key_opens_with_the_right_key_and_context_alone() -> None:
    mine, other = keys.generate_device_key(), keys.generate_device_key()
    wrapped = wrapping.wrap(KEY, mine.public_key(), CONTEXT)
    assert wrapping.unwrap(wrapped, wrapping.exchange_with(mine), mine.public_key(), CONTEXT) == KEY
    with pytest.raises(SealBroken):
        wrapping.unwrap(wrapped, wrapping.exchange_with(other), other.public_key(), CONTEXT)
    with pytest.raises(SealBroken):
        wrapping.unwrap(wrapped, wrapping.exchange_with(mine), mine.public_key(), b"another use")


@pytest.mark.parametrize("enc", ["", "!", "AAAA", "BAAA"], ids=["empty", "no base64", "short", "no point"])
def test_a_wrapped_key_that_holds_no_point_is_told_as_such(enc: str) -> None:
    key = keys.generate_device_key()
    with pytest.raises(SealBroken, match="does not open"):
        wrapping.unwrap(wrapping.WrappedKey(enc, "AAAA"), wrapping.exchange_with(key), key.public_key(), CONTEXT)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_a_sealed_file_comes_back_and_has_the_size_foretold(size: int, tmp_path: Path) -> None:
    plain = os.urandom(size)
    sealed = files.seal_bytes(plain, KEY)
    assert len(sealed) == files.sealed_size(size)
    assert files.unseal_bytes(sealed, KEY) == plain
    path = tmp_path / "sealed"
    path.write_bytes(sealed)
    with files.open_sealed(path, KEY) as reader:
        reader.seek(size // 2)
        assert reader.read(70_000) == plain[size // 2 :][:70_000]
        reader.seek(0)
        assert reader.read(1) == plain[:1]


def test_pieces_of_any_size_make_the_same_sealed_file() -> None:
    plain, salt = os.urandom(150_000), bytes(32)
    pieces = io.BytesIO()
    files.seal([plain[i : i + 999] for i in range(0, len(plain), 999)], pieces, KEY, salt=salt)
    assert pieces.getvalue() == files.seal_bytes(plain, KEY, salt=salt)


def test_two_files_under_one_key_share_no_key_stream() -> None:
    first, second = files.seal_bytes(bytes(1000), KEY), files.seal_bytes(bytes(1000), KEY)
    assert first[files.HEADER_BYTES :] != second[files.HEADER_BYTES :]


@pytest.mark.attack
@pytest.mark.parametrize(
    "order", [[1, 0, 2], [0, 1], [0, 2], [0, 1, 1, 2], [1, 2], [0, 1, 2, 2]], ids=lambda order: "".join(map(str, order))
)
def test_segments_that_are_swapped_repeated_or_missing_do_not_open(order: list[int]) -> None:
    sealed = files.seal_bytes(os.urandom(3 * files.SEGMENT_BYTES), KEY)
    header, body = sealed[: files.HEADER_BYTES], sealed[files.HEADER_BYTES :]
    whole = files.SEGMENT_BYTES + files.TAG_BYTES
    segments = [body[i * whole : (i + 1) * whole] for i in range(3)]
    with pytest.raises(SealBroken):
        files.unseal_bytes(header + b"".join(segments[i] for i in order), KEY)


def test_another_key_does_not_open_and_a_plain_file_is_none() -> None:
    with pytest.raises(SealBroken, match="does not open"):
        files.unseal_bytes(files.seal_bytes(b"secret", KEY), bytes(32))
    with pytest.raises(SealBroken, match="no sealed file"):
        files.unseal_bytes(b"a plain file that is longer than the header of a sealed one" * 2, KEY)
    with pytest.raises(SealBroken, match="no sealed file"):
        files.unseal_bytes(b"", KEY)
