"""How an identity is renewed, handed out by the batch, and taken back."""

from __future__ import annotations

from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from attack.defence import Defence, answering, value

_RENEWAL = "tests/unit/test_server_renewal.py"
_AGENT = "tests/unit/test_agent_renewal.py"
_BATCHES = "tests/unit/test_server_batches.py"
_CLONES = "tests/unit/test_server_clones.py"
_LIFE = "tests/unit/test_server_lifecycle.py"
_ATTACK = "tests/attack/test_attack_identity.py"


def _believes_anybody(_original: Any) -> Any:
    """Whoever signed, it was the device."""

    def open_signed(_session: Any, device: Any, envelope: bytes, _payload_type: str) -> Any:
        import msgspec

        from edgefleet_contract import dsse
        from edgefleet_server.devices.proof import Signed

        opened = msgspec.json.decode(envelope, type=dsse.Envelope)
        return Signed(dsse.unverified_payload(opened), device.public_key)

    return open_signed


def _believes_the_name(_original: Any) -> Any:
    """A batch's claim is by whoever names the batch."""

    def signed_by_batch(session: Any, _request: Any) -> Any:
        from edgefleet_server.devices.models import ClaimBatch

        return session.query(ClaimBatch).one()

    return signed_by_batch


def _knows_everybody(_original: Any) -> Any:
    return lambda _session, devices: set(devices)


ROWS = (
    Defence(
        "a certificate renewed by somebody else, or for another device's name",
        "the identity key signs the request; the server gives the name",
        (
            f"{_RENEWAL}::test_a_request_that_is_not_the_devices_own_is_refused",
            "tests/unit/test_server_renewal.py::test_a_thief_who_renews_first_is_noticed_when_the_device_renews",
            "tests/unit/test_server_renewal.py::test_a_replayed_renewal_gives_nothing_once_the_new_key_is_used",
            f"{_RENEWAL}::test_the_name_in_a_renewals_csr_is_ignored",
            f"{_ATTACK}::test_a_stolen_device_key_speaks_for_no_other_device",
            "tests/attack/test_attack_identity.py::test_no_claim_at_all_enrolls_nobody",
            f"{_ATTACK}::test_a_renewal_that_is_replayed_changes_nothing",
        ),
        {"edgefleet_server.devices.renewal.proof.open_signed": _believes_anybody},
    ),
    Defence(
        "certificates by the thousand, by a thief or a device gone wild",
        "one an hour for a device",
        (f"{_RENEWAL}::test_certificates_cannot_be_had_by_the_thousand",),
        {"edgefleet_server.devices.renewal.PAUSE": value(0)},
    ),
    Defence(
        "a server or a man in the middle that answers a renewal with another certificate",
        "the device takes only one by the pinned authority, for its own key and name",
        (
            f"{_AGENT}::test_an_answer_that_is_no_certificate_of_ours_changes_nothing",
            "tests/unit/test_agent_renewal.py::test_a_token_for_new_devices_does_not_bring_an_old_one_back_as_another",
        ),
        {"edgefleet_agent.certificate.check": answering()},
    ),
    Defence(
        "a revoked, replaced or retired device that goes on",
        "its certificates are on the revocation list; what it says is not heard; it is neither renewed nor let back",
        (
            f"{_LIFE}::test_a_revoked_device_is_on_the_list_and_heard_no_more",
            f"{_LIFE}::test_a_retired_device_cannot_come_back",
            f"{_RENEWAL}::test_a_device_that_left_is_not_renewed",
            f"{_AGENT}::test_a_retired_device_cannot_renew_nor_come_back",
        ),
        {
            "edgefleet_server.devices.service.known": _knows_everybody,
            "edgefleet_server.devices.proof.open_signed": _believes_anybody,
        },
    ),
    Defence(
        "a device's storage is copied, and both copies live on",
        "other hardware, lives that alternate and replaced keys in use raise the alert `device.cloned`",
        (
            f"{_CLONES}::test_other_hardware_under_the_same_identity_raises_an_alert",
            f"{_CLONES}::test_two_lives_that_report_in_turn_raise_an_alert",
            f"{_CLONES}::test_a_replaced_key_that_signs_again_raises_an_alert",
            f"{_ATTACK}::test_a_device_key_that_was_copied_is_noticed_and_shut_out",
        ),
        {"edgefleet_server.devices.clones.watch": answering()},
    ),
    Defence(
        "the claim certificate of a batch is stolen",
        "it is of a usage that no broker takes, and signs nothing but enrolments, each for its own request",
        (
            f"{_ATTACK}::test_a_claim_certificate_opens_no_broker",
            f"{_ATTACK}::test_a_stolen_claim_renews_nothing_and_enrolls_nobody_beyond_its_list",
        ),
        {"edgefleet_server.authority.CLAIM_USAGE": value(ExtendedKeyUsageOID.CLIENT_AUTH)},
    ),
    Defence(
        "a device that is not of the batch enrolls with it",
        "the batch's key signs each request; allow list, one place a serial number, a count, an expiry, a hook",
        (
            f"{_BATCHES}::test_a_claim_is_good_for_its_own_request_and_by_its_own_key",
            f"{_BATCHES}::test_only_what_is_on_the_allow_list_gets_in",
            f"{_BATCHES}::test_a_serial_number_is_taken_in_once",
            f"{_BATCHES}::test_a_closed_or_expired_batch_lets_nobody_in",
            f"{_BATCHES}::test_a_hook_that_does_not_agree_keeps_the_device_out",
        ),
        {"edgefleet_server.devices.batch_claims._signed_by_batch": _believes_the_name},
    ),
    Defence(
        "whoever may call the API runs a program on the server, by way of a hook",
        "a hook is the name of a program that the server's owner has put into the folder `hooks`",
        (f"{_BATCHES}::test_a_hook_is_a_program_of_the_servers_owner",),
        {"edgefleet_server.devices.hooks.Hooks.check": answering()},
    ),
    Defence(
        "a token that lets one device back in is used by another, or for another request",
        "the device's present key signs for the token and the request",
        (
            f"{_AGENT}::test_a_key_proof_is_good_for_its_own_request",
            f"{_AGENT}::test_a_bound_token_is_of_no_use_to_another_device",
            f"{_AGENT}::test_a_leaked_token_is_worthless_after_its_use",
            f"{_ATTACK}::test_a_token_that_leaked_after_its_use_opens_nothing",
        ),
        {"edgefleet_server.devices.enrolment._check_binds": answering()},
    ),
)
