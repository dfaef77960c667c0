"""Enrolment step by step: what is checked, what is kept, and what a retry sends."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgefleet_agent import claims, commands, enrolment, identity, trust_store
from edgefleet_agent.commands import EnrolmentOptions
from edgefleet_agent.disk import Disk
from edgefleet_agent.enrolment import Machine
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.listener import Server, parse_server
from edgefleet_agent.record import Record
from edgefleet_contract import keys, trust
from edgefleet_contract.enrolment import (
    AUTHORITY_PATH,
    BrokerAddress,
    EnrollRequest,
    EnrollResponse,
    decode_request,
    encode_token,
)
from edgefleet_contract.errors import (
    Conflict,
    DataFolderMalformed,
    IdentityMismatch,
    NotEnrolled,
    ServerUnreachable,
    TokenRefused,
    UsageMalformed,
    VerificationError,
)
from edgefleet_contract.fingerprint import Fingerprint
from support.agent_fleet import Operator

DEVICE = "d-aaaaaaaaaaaaaaaa"
MACHINE = Machine("rpi4", {}, Fingerprint())
SERVER = Server("https://fleet.test:8443", "fleet.test", 8443)

Alter = Callable[[EnrollResponse], EnrollResponse]


class Exchange:
    """Stands at the place of the HTTPS exchange, which the integration tests do for real."""

    def __init__(self, operator: Operator, alter: Alter = lambda response: response) -> None:
        self.operator, self.alter = operator, alter
        self.requests: list[EnrollRequest] = []
        self.lost_responses = 0
        self.refuses = False

    def __call__(self, _server: Server, _context: object, _method: str, path: str, body: bytes | None) -> bytes:
        if path == AUTHORITY_PATH:
            return self.operator.authority_pem
        assert body is not None
        self.requests.append(decode_request(body))
        if self.lost_responses:
            self.lost_responses -= 1
            raise ServerUnreachable("the line went dead")
        if self.refuses:
            raise TokenRefused("The token was used")
        response = self.operator.answer(self.requests[-1], DEVICE, BrokerAddress("fleet.test", 8883))
        return msgspec.json.encode(self.alter(response))


@pytest.fixture
def operator() -> Operator:
    return Operator()


def enroll(monkeypatch: pytest.MonkeyPatch, exchange: Exchange, folder: DataFolder, **token: object) -> identity.Card:
    monkeypatch.setattr(enrolment, "exchange", exchange)
    claim = claims.of_token(exchange.operator.token(**token))
    return enrolment.enroll(folder, Disk(), server=SERVER, claim=claim, machine=MACHINE)


def test_an_enrolled_device_knows_who_it_is_and_whom_it_believes(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder(tmp_path / "data")
    card = enroll(monkeypatch, Exchange(operator), folder)
    assert (card.device, card.hardware, card.broker.port) == (DEVICE, "rpi4", 8883)
    assert identity.Identity(folder).card == card
    pins = trust_store.load_pins(folder)
    assert (pins.device, pins.hardware) == (DEVICE, "rpi4")
    assert (pins.scheme, pins.root) == (trust.SCHEME, operator.repository.first_root)
    assert identity.key_path(folder).stat().st_mode & 0o777 == 0o600


def test_a_lost_response_is_asked_for_again_with_the_same_request(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, exchange = DataFolder(tmp_path / "data"), Exchange(operator)
    exchange.lost_responses = 1
    with pytest.raises(ServerUnreachable):
        enroll(monkeypatch, exchange, folder)
    with pytest.raises(NotEnrolled):
        identity.Identity(folder)
    enroll(monkeypatch, exchange, folder)
    assert exchange.requests[0] == exchange.requests[1]


def test_a_refused_token_leaves_nothing(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, exchange = DataFolder(tmp_path / "data"), Exchange(operator)
    exchange.refuses = True
    monkeypatch.setattr(enrolment, "exchange", exchange)
    token = encode_token(operator.token())
    with pytest.raises(TokenRefused):
        commands.enroll(folder, EnrolmentOptions(SERVER.url, token, target="x86-64"))
    assert list(tmp_path.iterdir()) == []
    folder.root.mkdir()
    with pytest.raises(TokenRefused):
        commands.enroll(folder, EnrolmentOptions(SERVER.url, token, target="x86-64"))
    assert list(folder.root.iterdir()) == []


def test_a_refused_token_leaves_the_key_that_waits_for_a_lost_response(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, exchange = DataFolder(tmp_path / "data"), Exchange(operator)
    exchange.lost_responses = 1
    with pytest.raises(ServerUnreachable):
        enroll(monkeypatch, exchange, folder)
    exchange.refuses = True
    with pytest.raises(TokenRefused):
        enroll(monkeypatch, exchange, folder)
    exchange.refuses = False
    enroll(monkeypatch, exchange, folder)
    assert exchange.requests[0] == exchange.requests[-1]


def test_a_second_enrolment_is_refused(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = DataFolder(tmp_path / "data")
    enroll(monkeypatch, Exchange(operator), folder)
    with pytest.raises(Conflict, match=DEVICE):
        enroll(monkeypatch, Exchange(operator), folder)


def foreign_certificate(response: EnrollResponse) -> EnrollResponse:
    stranger = Operator().certificate(DEVICE, keys.generate_device_key().public_key())
    return msgspec.structs.replace(response, certificate=stranger.decode())


def foreign_root(response: EnrollResponse) -> EnrollResponse:
    return msgspec.structs.replace(response, root=base64.b64encode(Operator().repository.first_root).decode())


def other_name(response: EnrollResponse) -> EnrollResponse:
    return msgspec.structs.replace(response, device="d-bbbbbbbbbbbbbbbb")


def no_certificate(response: EnrollResponse) -> EnrollResponse:
    return msgspec.structs.replace(response, certificate="-----BEGIN")


def no_root(response: EnrollResponse) -> EnrollResponse:
    return msgspec.structs.replace(response, root="?")


@pytest.mark.attack
@pytest.mark.parametrize("alter", [foreign_certificate, foreign_root, other_name, no_certificate, no_root])
def test_a_response_that_is_not_the_fleets_makes_no_identity(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alter: Alter
) -> None:
    folder = DataFolder(tmp_path / "data")
    with pytest.raises(VerificationError):
        enroll(monkeypatch, Exchange(operator, alter), folder)
    assert not identity.card_path(folder).exists()
    assert not folder.trust.exists()


@pytest.mark.attack
def test_a_key_that_another_certificate_is_for_makes_no_identity(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_key(response: EnrollResponse) -> EnrollResponse:
        certificate = operator.certificate(DEVICE, keys.generate_device_key().public_key())
        return msgspec.structs.replace(response, certificate=certificate.decode())

    with pytest.raises(IdentityMismatch):
        enroll(monkeypatch, Exchange(operator, other_key), DataFolder(tmp_path / "data"))


@pytest.mark.attack
def test_a_token_that_names_another_authority_sends_no_secret(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Exchange(operator)
    with pytest.raises(IdentityMismatch):
        enroll(monkeypatch, exchange, DataFolder(tmp_path / "data"), authority="0" * 64)
    assert exchange.requests == []


@pytest.mark.parametrize(
    "url", ["http://fleet.test", "fleet.test:8443", "https://", "https://a:b:c", "https://a/path", ""]
)
def test_a_server_that_is_no_https_url_is_refused(url: str) -> None:
    with pytest.raises(UsageMalformed):
        parse_server(url)


def test_a_server_url_names_host_and_port() -> None:
    assert parse_server("https://fleet.test:8443/").port == 8443
    assert parse_server("https://[::1]").host == "::1"


@pytest.mark.enable_socket
def test_a_port_without_tls_may_be_the_consoles(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as console:
        threading.Thread(target=console.handle_request, daemon=True).start()
        server = parse_server(f"https://127.0.0.1:{console.server_port}")
        with pytest.raises(ServerUnreachable, match="port of the console"):
            enrolment.enroll(
                DataFolder(tmp_path / "d"),
                Disk(),
                server=server,
                claim=claims.of_token(Operator().token()),
                machine=MACHINE,
            )


def open_all(folder: DataFolder) -> None:
    identity.Identity(folder)
    trust_store.DurableTrustStore(folder, Disk(), Record)


def test_a_damaged_identity_is_told_and_never_taken_for_none(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DataFolder(tmp_path / "data")
    enroll(monkeypatch, Exchange(operator), folder)
    for path in (identity.key_path(folder), identity.card_path(folder), trust_store.pins_path(folder), folder.floor):
        kept = path.read_bytes() if path.exists() else None
        path.write_bytes(b"{")
        with pytest.raises(DataFolderMalformed):
            open_all(folder)
        path.unlink() if kept is None else path.write_bytes(kept)
