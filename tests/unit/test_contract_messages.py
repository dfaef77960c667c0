"""Topics, messages, blocks, tokens and names: what is not exactly right is refused with a clear error."""

from __future__ import annotations

import struct

import msgspec
import pytest

from edgefleet_contract import blocks, enrolment, errors, identifiers, messages, topics
from edgefleet_contract.errors import MessageMalformed, TokenRefused, UsageMalformed
from support.contract_samples import DEVICE


def test_each_topic_stands_once_and_below_the_root() -> None:
    patterns = [topic.pattern for topic in topics.TOPICS]
    assert len(set(patterns)) == len(patterns)
    assert all(pattern.startswith("fleet/v1/") for pattern in patterns)


def test_an_upward_topic_is_parsed_into_its_row_and_device() -> None:
    assert topics.parse_up(topics.of(topics.TELEMETRY, DEVICE)) == (topics.TELEMETRY, DEVICE)


@pytest.mark.attack
@pytest.mark.parametrize(
    "text",
    [
        f"fleet/v1/d/{DEVICE}/down/desired",
        f"fleet/v1/d/{DEVICE}/up/other",
        "fleet/v1/d/+/up/need",
        f"fleet/v1/d/{DEVICE}/up/need/x",
        f"x/fleet/v1/d/{DEVICE}/up/need",
        "",
    ],
)
def test_other_topics_are_none_of_ours(text: str) -> None:
    assert topics.parse_up(text) is None


@pytest.mark.attack
@pytest.mark.parametrize("device", ["#", "+", "d-AAAAAAAAAAAAAAAA", "d-short", f"{DEVICE}/up", ""])
def test_a_topic_is_not_made_for_what_is_no_device_id(device: str) -> None:
    with pytest.raises(ValueError, match="no device id"):
        topics.of(topics.DESIRED, device)


def test_device_ids_are_fresh_and_well_formed() -> None:
    ids = {identifiers.new_device_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(identifiers.is_device_id(device) for device in ids)


@pytest.mark.parametrize("version", ["1.0.0", "0.0.0", "1.2.3-rc.1+build.5", "10.20.30"])
def test_semantic_versions_are_accepted(version: str) -> None:
    assert identifiers.check_version(version) == version


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0 ", "", "1.0.0-01", "1.0.0\n"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(UsageMalformed, match="semantic version"):
        identifiers.check_version(version)


@pytest.mark.parametrize("name", ["", "-a", "a/b", "A", "..", "a" * 65, "a\n"])
def test_names_that_would_not_make_file_names_are_refused(name: str) -> None:
    with pytest.raises(UsageMalformed):
        identifiers.check_name(name)


def test_an_unknown_version_is_refused_and_unknown_fields_are_ignored() -> None:
    need = messages.Need(1, DEVICE, "a" * 64, [0, 1])
    later = msgspec.to_builtins(need) | {"added_later": True}
    assert messages.decode(msgspec.json.encode(later), messages.Need) == need
    with pytest.raises(MessageMalformed, match="version 2"):
        messages.decode(msgspec.json.encode(later | {"v": 2}), messages.Need)


@pytest.mark.attack
@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"null", b"\xff\xfe", b"[" * 50_000, b'{"v":1,"device":1}', b" " * 300_000]
)
def test_garbage_is_a_malformed_message(payload: bytes) -> None:
    with pytest.raises(MessageMalformed):
        messages.decode(payload, messages.Need)


def test_blocks_cover_a_file_exactly() -> None:
    total = 3 * blocks.BLOCK_BYTES + 5
    lengths = [blocks.block_length(total, index) for index in range(blocks.block_count(total))]
    assert lengths == [blocks.BLOCK_BYTES] * 3 + [5]
    assert blocks.block_count(0) == 0


def test_a_block_is_read_back() -> None:
    block = blocks.Block("c" * 64, 1, blocks.BLOCK_BYTES + 3, b"end")
    assert blocks.decode(blocks.encode(block)) == block


@pytest.mark.attack
def test_a_block_that_contradicts_itself_is_refused() -> None:
    good = blocks.encode(blocks.Block("c" * 64, 0, 5, b"hello"))
    for bad in (good[:-1], good + b"x", b"XXXX" + good[4:], good[:10], b""):
        with pytest.raises(MessageMalformed):
            blocks.decode(bad)
    beyond = struct.pack(">4sB32sIQ", b"EFBK", 1, b"c" * 32, 9, 5) + b"hello"
    with pytest.raises(MessageMalformed):
        blocks.decode(beyond)


def test_a_claim_token_is_one_word() -> None:
    token = enrolment.ClaimToken(1, "t-1", "secret", "a" * 64, "b" * 64)
    word = enrolment.encode_token(token)
    assert " " not in word
    assert enrolment.decode_token(f" {word}\n") == token


@pytest.mark.attack
@pytest.mark.parametrize("word", ["", "eft1.", "eft1.!!!", "eft1.AAAA", "other", "eft1." + "A" * 5000])
def test_what_is_no_claim_token_is_refused_without_repeating_it(word: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        enrolment.decode_token(word)
    assert len(word) < 6 or word not in str(caught.value)


def test_every_error_has_a_code_of_its_own_and_the_exit_status_of_its_branch() -> None:
    tree = list(errors.all_errors())
    assert len({error.code for error in tree}) == len(tree)
    assert {error.exit_status for error in tree} == {1, 2, 3, 4, 5}
    for error in tree:
        assert error.__doc__, error


def test_an_error_says_what_was_seen_what_was_expected_and_what_to_do() -> None:
    error = errors.TargetUnknown(
        "No target 'rpi9'", expected="one of rpi4, rpi5", remedy="See `edgefleet target list`.", near=["rpi4"]
    )
    assert str(error) == "No target 'rpi9'. Expected one of rpi4, rpi5. See `edgefleet target list`."
    assert error.as_json()["facts"] == {"near": ["rpi4"]}
