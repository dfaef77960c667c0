"""Identity keys in files and in hardware do the same; what is missing or refuses is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_agent import identity
from edgefleet_agent.signers import FILE, Signer, check_place, open_signer
from edgefleet_agent.signers.file import FileSigner
from edgefleet_agent.signers.pkcs11 import PIN, Pkcs11Signer, parse_uri
from edgefleet_contract import dsse, keys
from edgefleet_contract.errors import DataFolderMalformed, SealBroken, SignerFailed, SignerUnavailable, UsageMalformed
from edgefleet_contract.sealing.content import unwrap_content_key
from support.agent_runs import AgentRun
from support.private_bundles import PrivateBench
from support.softhsm import MODULE, make_token, use_tokens

URI = f"pkcs11:token=edge;object=identity?module-path={MODULE}"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a token ``edge`` of SoftHSM, whose PIN is 1234, and in it a key."""
    folder = tmp_path_factory.mktemp("hsm")
    with pytest.MonkeyPatch.context() as patch:
        make_token(folder, "edge", "1234", patch)
        patch.setenv(PIN, "1234")
        Pkcs11Signer(URI).make()
    return folder


@pytest.fixture
def hsm(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That token, for one test."""
    use_tokens(tokens, monkeypatch)
    return tokens


@pytest.fixture(params=["file", "pkcs11"])
def signer(request: pytest.FixtureRequest, hsm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    monkeypatch.setenv(PIN, "1234")
    (tmp_path / "device.key").write_bytes(keys.to_pem(keys.generate_device_key()))
    return open_signer(FILE if request.param == "file" else URI, tmp_path / "device.key")


def test_a_signer_signs_statements(signer: Signer) -> None:
    key = signer.public_key()
    envelope = dsse.sign(b"{}", dsse.REPORTED, [signer])
    assert dsse.verify(envelope, dsse.REPORTED, {keys.key_id(key): key}) == b"{}"


def test_a_signer_shares_a_secret_with_a_peer(signer: Signer) -> None:
    peer = keys.generate_device_key()
    secret = signer.exchange(peer.public_key())
    assert secret == peer.exchange(ec.ECDH(), signer.public_key())
    assert len(secret) == 32


def test_a_key_in_hardware_opens_a_private_bundle(hsm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN, "1234")
    bench = PrivateBench(tmp_path, key=URI)
    wrapped = bench.wrapped()
    report = bench.run(bench.assign(wrapped))
    assert (report.state, report.running) == ("confirmed", bench.digest)
    with AgentRun(bench.folder, bench.side) as run:
        assert run.settle().running == bench.digest, "after a restart the slot's key is opened anew"
    file_key = FileSigner(identity.key_path(bench.folder))
    with pytest.raises(SealBroken):
        unwrap_content_key(wrapped, file_key.exchange, file_key.public_key(), bench.digest)


def test_a_key_in_hardware_is_made_once(hsm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN, "1234")
    before = keys.public_text(Pkcs11Signer(URI).public_key())
    Pkcs11Signer(URI).make()
    assert keys.public_text(Pkcs11Signer(URI).public_key()) == before


def test_the_pin_may_come_from_a_file(hsm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PIN, raising=False)
    (tmp_path / "pin").write_text("1234\n")
    assert Pkcs11Signer(f"{URI}&pin-source=file:{tmp_path / 'pin'}").public_key() is not None
    with pytest.raises(SignerUnavailable, match="PIN file"):
        Pkcs11Signer(f"{URI}&pin-source={tmp_path / 'none'}").public_key()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        (("token=edge", "token=other"), SignerUnavailable),
        (("object=identity", "object=other"), SignerUnavailable),
        ((MODULE, "/none.so"), SignerFailed),
    ],
)
def test_hardware_that_is_not_there_is_told(
    hsm: Path, monkeypatch: pytest.MonkeyPatch, changed: tuple[str, str], error: type[Exception]
) -> None:
    monkeypatch.setenv(PIN, "1234")
    signer = Pkcs11Signer(URI.replace(*changed))
    for act in (signer.public_key, lambda: signer.sign_message(b"x")):
        with pytest.raises(error):
            act()


def test_a_wrong_pin_is_told(hsm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN, "0000")
    with pytest.raises(SignerUnavailable, match="PinIncorrect"):
        Pkcs11Signer(URI).sign_message(b"x")


@pytest.mark.parametrize(
    "place",
    ["", "tpm", "pkcs11:", "pkcs11:token=a", "pkcs11:token=a;object=b", f"{URI}&pin-value=1234"],
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(UsageMalformed):
        check_place(place)


def test_a_uri_is_read_with_its_escapes() -> None:
    place = parse_uri("pkcs11:token=my%20token;object=a%3Bb?module-path=/lib.so&pin-source=/pin")
    assert (place.token, place.label, place.module, place.pin_source) == ("my token", "a;b", "/lib.so", "/pin")
    assert check_place(FILE) == FILE
    assert check_place(URI) == URI


def test_a_key_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(keys.to_pem(keys.generate()))
    with pytest.raises(DataFolderMalformed, match="another kind"):
        FileSigner(tmp_path / "key")
