"""What a machine is known by: read from the system, hashed, and nothing in the clear."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgefleet_agent.fingerprint import read_fingerprint
from edgefleet_contract.fingerprint import Fingerprint, hashed


def board(root: Path, serial: str = "10000000abcdef01\0", address: str = "dc:a6:32:00:00:01") -> Path:
    """A root file system of a board with one network card and one bridge."""
    for name, text in (
        ("etc/machine-id", "0123456789abcdef\n"),
        ("proc/device-tree/serial-number", serial),
        ("sys/class/net/eth0/address", address + "\n"),
        ("sys/class/net/eth0/device/vendor", "x"),
        ("sys/class/net/br0/address", "02:00:00:00:00:99\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_board_is_known_by_hashes_of_its_three_names(tmp_path: Path) -> None:
    printed = read_fingerprint(board(tmp_path))
    assert printed == Fingerprint(
        hashed("machine", "0123456789abcdef"),
        hashed("serial", "10000000ABCDEF01"),
        hashed("network", "dc:a6:32:00:00:01"),
    )
    assert printed.hardware == printed.serial
    assert len({*msgspec.structs.astuple(printed)}) == 3


def test_nothing_of_it_stands_in_the_clear(tmp_path: Path) -> None:
    encoded = msgspec.json.encode(read_fingerprint(board(tmp_path)))
    for name in (b"10000000abcdef01", b"0123456789abcdef", b"dc:a6:32"):
        assert name not in encoded


def test_a_serial_number_that_is_given_goes_before_the_boards(tmp_path: Path) -> None:
    assert read_fingerprint(board(tmp_path), serial="SN-1").serial == hashed("serial", "sn-1 ")


def test_a_machine_without_names_has_an_empty_fingerprint(tmp_path: Path) -> None:
    assert read_fingerprint(tmp_path) == Fingerprint()


def test_only_what_both_have_can_differ(tmp_path: Path) -> None:
    here = read_fingerprint(board(tmp_path / "a"))
    other = read_fingerprint(board(tmp_path / "b", serial="2", address="dc:a6:32:00:00:02"))
    assert here.differs_from(here) == []
    assert here.differs_from(other) == ["serial", "network"]
    assert here.differs_from(Fingerprint(machine=here.machine)) == []
    assert here.hardware != other.hardware
    assert Fingerprint(machine=here.machine).hardware != Fingerprint(network=here.network).hardware
