"""Who a device is, and how it comes by that."""

from __future__ import annotations

from typing import Any

from attack.defence import Defence, answering

_AGENT = "tests/unit/test_agent_enrolment.py"
_INSIDE = "tests/unit/test_server_enrolment.py"
_SERVER = "tests/integration/test_server_enrolment.py"


def _any_token(_original: Any) -> Any:
    """Whatever token has this id, used or not, whoever asks."""

    def check(session: Any, _now: int, token_id: str, _secret: str, _csr_key: str) -> Any:
        from edgefleet_server.devices.models import ClaimToken

        token = session.get(ClaimToken, token_id)
        token.device_id = None
        return token

    return check


def _any_key(_original: Any) -> Any:
    """The key of a request, whether or not whoever asks holds it."""

    def key_of_request(pem: str) -> Any:
        from cryptography import x509

        return x509.load_pem_x509_csr(pem.encode()).public_key()

    return key_of_request


ROWS = (
    Defence(
        "a server that brings its own authority or trust root to enrolment",
        "the claim token names the hashes of both, as the operator's machine knows them",
        (
            f"{_AGENT}::test_a_response_that_is_not_the_fleets_makes_no_identity",
            f"{_AGENT}::test_a_key_that_another_certificate_is_for_makes_no_identity",
            f"{_AGENT}::test_a_token_that_names_another_authority_sends_no_secret",
            "tests/integration/test_agent_mosquitto.py::test_an_authority_that_the_token_does_not_name_gets_no_secret",
            f"{_SERVER}::test_a_token_of_another_fleet_is_refused_before_its_secret_leaves",
        ),
        {"edgefleet_agent.enrolment._check_response": answering(b"{}")},
    ),
    Defence(
        "a claim token that was stolen after its use, has expired, or was guessed",
        "one use, an expiry, 256 random bits of which only the hash is kept",
        (
            f"{_INSIDE}::test_a_token_is_used_once",
            f"{_INSIDE}::test_an_expired_token_opens_nothing",
            f"{_INSIDE}::test_a_guessed_token_is_unknown_whatever_is_wrong_with_it",
            f"{_INSIDE}::test_the_secret_of_a_token_is_not_kept",
            f"{_SERVER}::test_tokens_that_are_used_expired_or_malformed_open_nothing",
            "tests/unit/test_contract_messages.py::test_what_is_no_claim_token_is_refused_without_repeating_it",
        ),
        {"edgefleet_server.devices.tokens.check": _any_token},
    ),
    Defence(
        "a certificate for another's name, or for a key that the asker does not hold",
        "the server chooses the name; the request must prove its key",
        (
            f"{_INSIDE}::test_only_p256_keys_that_sign_for_themselves_are_taken",
            f"{_INSIDE}::test_the_name_in_the_request_is_ignored",
        ),
        {"edgefleet_server.authority.key_of_request": _any_key},
    ),
)
