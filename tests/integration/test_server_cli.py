"""What operators see: tables for people, hints on an empty fleet, and the same as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.server_runs import Operator, Site, running_site, until
from support.tiny_bundles import tiny_bundle

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running_site(tmp_path, capsys) as started:
        yield started


def test_an_empty_fleet_says_what_to_type_next(site: Site) -> None:
    for words, hint in (
        (("device", "list"), "edgefleet device token"),
        (("release", "list"), "edgefleet release push"),
        (("rollout", "list"), "edgefleet rollout create"),
        (("drift", "show"), "No device has sent a sketch"),
        (("alert", "list"), "Nothing needs attention"),
    ):
        status, out, err = site.operator.run(*words)
        assert (status, out) == (0, ""), words
        assert hint in err
        assert site.operator.ask(*words) == []


def test_the_whole_way_in_tables(site: Site) -> None:
    device = site.device("x86-64", "site=south")
    bundle = tiny_bundle(site.folder)
    pushed = site.operator.run("release", "push", str(bundle))
    assert pushed[0] == 0
    assert "digits@1.0.0" in pushed[1]
    assert "edgefleet rollout create --release digits@1.0.0" in pushed[2]
    again = site.operator.ask("release", "push", str(bundle))
    assert again["label"] == "digits@1.0.0"
    waiting = site.operator.ask("rollout", "create", "--release", "digits@1.0.0", "--to", "site=south", "--stage",
                                "100%", "--probation", "0s", "--no-start")  # fmt: skip
    assert waiting["state"] == "ready"
    assert device.sequences == []
    assert site.operator.run("rollout", "start", "r1")[0] == 0
    assert site.operator.run("rollout", "watch", "r1")[0] == 0
    shown = {
        "device list": (device.id, "x86-64", "confirmed", "digits@1.0.0", "site=south"),
        f"device show {device.id}": (device.id, "onnxruntime=1.31.1", "digits@1.0.0"),
        f"device tag {device.id} group=canary": ("group=canary site=south",),
        "release list": ("digits@1.0.0", "x86-64"),
        "release show digits@1.0.0": ("top1 0.9500", "onnx"),
        "rollout list": ("r1", "digits@1.0.0", "site=south", "finished", "1 succeeded"),
        "rollout show r1": ("finished", "health checks, without vectors", device.id),
        "key list": ("root", "targets", str(site.operator.home)),
        "alert list --all": (),
    }
    for command, expected in shown.items():
        status, out, err = site.operator.run(*command.split())
        assert status == 0, err
        assert [text for text in expected if text not in out] == [], (command, out)
        assert json.dumps(site.operator.ask(*command.split()))


def test_given_vectors_are_uploaded_and_named(site: Site) -> None:
    site.device()
    site.operator.ask("release", "push", str(tiny_bundle(site.folder)))
    vectors = site.folder / "vectors.npz"
    np.savez(vectors, x=np.zeros((5, 2), np.float32), y=np.arange(5))
    common = ("rollout", "create", "--release", "digits@1.0.0", "--to", "all")
    rollout = site.operator.ask(*common, "--vectors", str(vectors))
    assert rollout["vectors"]["origin"] == "given by the operator"
    site.operator.ask("rollout", "abort", rollout["id"])
    (site.folder / "empty.npz").write_bytes(b"")
    np.savez(site.folder / "wide.npz", x=np.zeros((5, 3), np.float32), y=np.arange(5))
    for wrong, code, seen in (
        ("missing.npz", "data.not_found", "missing.npz"),
        ("empty.npz", "data.malformed", "empty.npz"),
        ("wide.npz", "data.malformed", "do not fit digits@1.0.0 for x86-64: The input 'x' has shape (5, 3)"),
    ):
        status, error = site.operator.refused(*common, "--vectors", str(site.folder / wrong))
        assert (status, error["code"]) == (2, code)
        assert seen in error["seen"]


def test_devices_that_a_release_does_not_serve_are_told(site: Site) -> None:
    site.device("x86-64")
    site.device("rpi4")
    site.operator.ask("release", "push", str(tiny_bundle(site.folder)))
    status, out, err = site.operator.run("rollout", "create", "--release", "digits@1.0.0", "--to", "all")
    assert status == 0
    assert "1 of 2 devices are skipped: no bundle for rpi4" in err
    [line] = [line for line in out.splitlines() if "rpi4" in line]
    assert "skipped" in line
    assert "the release has no bundle for rpi4" in line


def test_a_watch_into_a_pipe_tells_each_change_on_a_line(site: Site) -> None:
    site.device()
    site.operator.ask("release", "push", str(tiny_bundle(site.folder)))
    common = ("rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--probation", "300ms")
    label = site.operator.ask(*common)["id"]
    status, out, _ = site.operator.run("rollout", "watch", label, "--interval", "20ms")
    assert status == 0
    told = [line for line in out.splitlines() if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  r1  ", line)]
    assert len(set(told)) == len(told) >= 2
    assert told[-1].endswith("r1  finished  1 succeeded")


def test_a_rollback_is_called_so_and_says_who_could_not_go_back(site: Site) -> None:
    site.device()
    site.operator.ask("release", "push", str(tiny_bundle(site.folder)))
    label = site.operator.ask("rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--probation", "0s")[
        "id"
    ]
    assert site.operator.run("rollout", "watch", label)[0] == 0
    site.operator.ask("rollout", "rollback", label)
    status, out, _ = site.operator.run("rollout", "watch", label)
    assert status == 3
    assert "rolled back  gone back, except 1 stranded" in out


def test_what_is_refused_makes_no_keys(site: Site) -> None:
    (site.folder / "no.efb").write_bytes(b"no bundle")
    for words, code in (
        (("device", "token", "--expires", "0s"), "usage"),
        (("device", "token", "--tag", "=x"), "usage"),
        (("release", "push", str(site.folder / "no.efb")), "bundle.malformed"),
        (("release", "push"), "usage"),
    ):
        status, error = site.operator.refused(*words)
        assert (status, error["code"]) == (2, code)
    assert not site.operator.home.exists()


def test_who_lacks_the_keys_of_a_fleet_is_told_and_gets_no_useless_ones(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.operator.ask("device", "token")
    stranger = Operator(site.folder / "another home", site.operator.data, capsys)
    for words in (("device", "token"), ("release", "push", str(tiny_bundle(site.folder)))):
        status, error = stranger.refused(*words)
        assert (status, error["code"]) == (2, "conflict")
        assert "EDGEFLEET_HOME" in error["remedy"]
    assert not stranger.home.exists()


def test_usage_errors_have_the_documented_status(site: Site) -> None:
    for words in (
        ("rollout", "create"),
        ("rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--stage", "ten"),
        ("rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--probation", "soon"),
        ("rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--success", "nan"),
        ("rollout", "show", "r9"),
        ("device", "show", "d-nobody"),
        ("device", "tag", "d-nobody", "novalue"),
        ("device", "token", "--expires", "never"),
        ("release", "push", str(site.folder / "missing.efb")),
        ("release", "show", "nonsense"),
        ("alert", "ack", "99"),
        ("alert", "ack", "one"),
    ):
        status, error = site.operator.refused(*words)
        assert status == 2, (words, error)
        assert error["seen"], words


def test_keys_are_made_by_init_and_not_again(site: Site) -> None:
    first = site.operator.ask("key", "init")
    assert first["made"]
    second = site.operator.ask("key", "init")
    assert (second["made"], second["root"]) == (False, first["root"])
    status, out, _ = site.operator.run("key", "init")
    assert status == 0
    assert "nothing was changed" in out


def test_an_alert_can_be_acknowledged_from_the_shell(site: Site) -> None:
    from support.server_device import reverts

    site.device(outcome=reverts)
    site.operator.ask("release", "push", str(tiny_bundle(site.folder)))
    site.operator.ask("rollout", "create", "--release", "digits@1.0.0", "--to", "all")
    [alert] = until(lambda: site.operator.ask("alert", "list"))
    status, out, _ = site.operator.run("alert", "ack", str(alert["id"]))
    assert status == 0
    assert "was halted" in out
    assert site.operator.ask("alert", "list") == []


@pytest.mark.attack
def test_what_a_device_says_is_no_command_to_the_terminal(site: Site) -> None:
    from edgefleet_contract.messages import ErrorReport

    device = site.device()
    device.report("failed", error=ErrorReport("agent.x", "\x1b[2J\x1b]0;owned\x07[bold red]all is well[/]"))
    device.wait_ack("reported", device.n)
    status, out, _ = site.operator.run("device", "show", device.id)
    assert status == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold red]all is well[/]" in out
