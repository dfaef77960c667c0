"""Operators, sessions, tokens and the console."""

from __future__ import annotations

from typing import Any

from attack.defence import Defence, answering, value
from edgefleet_server.users.roles import Principal, Role

_ROLES = "tests/attack/test_attack_roles.py::"
_FUZZ = "tests/attack/test_attack_api_fuzz.py::"
_CONSOLE = "tests/attack/test_attack_console.py::"
_REQUESTS = "tests/attack/test_attack_requests.py::"
_USERS = "tests/unit/test_server_users.py::"
_CHAIN = "tests/unit/test_server_audit_chain.py::"


def _unescaping(templates: Any) -> Any:
    """The console's templates, without their escaping."""
    plain = type(templates.env)(loader=templates.env.loader, autoescape=False)
    plain.filters |= templates.env.filters
    return type(templates)(env=plain)


ROWS: tuple[Defence, ...] = (
    Defence(
        "whoever has no token asks the server",
        "deny by default: an application with a route that states no role is not made; all others want a principal",
        (
            _ROLES + "test_nobody_gets_past_the_sign_in",
            _FUZZ + "test_whoever_has_no_token_gets_nothing_but_a_refusal",
            "tests/attack/test_attack_console.py::test_nothing_is_open_that_is_not_meant_to_be",
            "tests/attack/test_attack_console.py::test_over_tls_the_cookie_and_the_browser_never_go_back_to_the_clear",
            "tests/attack/test_attack_console.py::test_a_password_opens_a_session_of_the_users_role",
        ),
        {"edgefleet_server.gate.Gate.principal": answering(Principal("nobody", Role.ADMIN))},
    ),
    Defence(
        "somebody does more than their role lets them",
        "each route states its least role; what starts a rollout needs an approver",
        (
            _ROLES + "test_each_role_may_do_what_it_may_and_nothing_more",
            _ROLES + "test_an_operator_may_plan_a_rollout_and_not_start_it",
            _FUZZ + "test_no_request_makes_the_server_fail_or_goes_beyond_a_role",
            "tests/attack/test_attack_roles.py::test_a_role_that_was_lowered_is_lower_at_the_next_request",
            _ROLES + "test_an_operator_cannot_hand_what_a_device_runs_to_another",
        ),
        {"edgefleet_server.users.roles.Principal.require": answering()},
    ),
    Defence(
        "a token that was found in a build log is used for something else",
        "API tokens have scopes and an end, and are revoked by the ID that stands in them",
        (_ROLES + "test_a_token_for_one_thing_is_for_nothing_else",),
        {"edgefleet_server.auth._check_scope": answering()},
    ),
    Defence(
        "a build machine's token brings a root, and so other keys",
        "keys have a scope of their own, and no push of a release brings a root",
        (_ROLES + "test_a_token_that_pushes_releases_brings_no_root",),
        {"edgefleet_server.releases.routes.split_name": answering(("", 0))},
    ),
    Defence(
        "an admin who was shut out or demoted goes on with API tokens that he made before",
        "the tokens end with him, and with a token those that were made with it",
        (_ROLES + "test_the_tokens_of_an_admin_end_when_he_is_no_admin_any_more",),
        {"edgefleet_server.users.api_tokens.revoke_made_by": answering()},
    ),
    Defence(
        "a token with scopes makes one without",
        "whoever has scopes makes tokens within them alone",
        (_ROLES + "test_a_token_makes_no_token_for_more_than_it_is_for",),
        {"edgefleet_server.users.api_tokens.check_within": answering()},
    ),
    Defence(
        "a token is read in a copy of the database, or in a log",
        "tokens, sessions and setup words are kept as SHA-256 of 256 random bits, passwords by scrypt; none is logged",
        (
            _USERS + "test_a_token_is_kept_as_its_hash_and_found_by_its_id",
            _CONSOLE + "test_sessions_live_in_the_database_and_are_not_in_it",
            _CONSOLE + "test_no_secret_is_ever_logged",
        ),
        {"edgefleet_server.users.api_tokens.sha256": value(str.encode)},
    ),
    Defence(
        "passwords are tried one after another",
        "sign-ins are limited by name and by address, and no header is believed about the address",
        (
            _CONSOLE + "test_passwords_cannot_be_tried_for_long",
            _CONSOLE + "test_a_name_cannot_be_tried_from_many_addresses_for_long",
            _CONSOLE + "test_an_address_in_a_header_is_not_believed",
        ),
        {"edgefleet_server.rate_limits.Limiter._take": answering(0.0)},
    ),
    Defence(
        "passwords are tried from as many IPv6 addresses as a site has, or until one's own bucket is forgotten",
        "addresses of IPv6 are limited by /64, and only full buckets are forgotten",
        (
            _USERS + "test_a_site_with_many_addresses_has_one_bucket",
            _USERS + "test_an_attacker_with_many_names_gets_no_new_tries_with_one",
        ),
        {"edgefleet_server.gate.site_of": lambda _: str},
        ends_with="Unauthorized",  # one more try, where the limit is due
    ),
    Defence(
        "another site's page acts with an operator's session (CSRF)",
        "SameSite=Strict, and a session acts only where Sec-Fetch-Site or Origin say that our own page asks",
        (
            _CONSOLE + "test_another_sites_page_cannot_act_with_a_session",
            _CONSOLE + "test_another_sites_page_cannot_sign_anybody_in_or_out",
        ),
        {"edgefleet_server.own_page.may_use_session": answering(True)},
    ),
    Defence(
        "a session's cookie is stolen or planted",
        "cookies are HttpOnly, new at each sign-in, end with the password or the account, and all at once",
        (
            _CONSOLE + "test_signing_out_everywhere_ends_a_stolen_session",
            _CONSOLE + "test_a_session_that_somebody_planted_is_not_the_one_that_is_used",
            _CONSOLE + "test_shutting_a_user_out_ends_their_sessions",
        ),
        {"edgefleet_server.users.sessions.end_all": answering()},
    ),
    Defence(
        "a device calls itself by a script (XSS), or a page frames the console",
        "templates escape, scripts set text only, and a policy without exceptions forbids what is not ours",
        (
            _CONSOLE + "test_words_of_devices_stay_words_on_every_page",
            _CONSOLE + "test_every_answer_carries_every_security_header",
        ),
        {"edgefleet_server.console.routes.templates": _unescaping},
    ),
    Defence(
        "requests of any length or depth, and words of SQL in filters",
        "bodies, queries and counts are bounded, and every statement's parameters are bound",
        (
            _REQUESTS + "test_a_query_of_any_length_is_refused",
            _REQUESTS + "test_a_body_without_an_end_is_not_read_to_it",
            _REQUESTS + "test_a_body_that_is_a_bomb_is_refused",
            _REQUESTS + "test_no_filter_is_a_way_into_the_database",
        ),
        {"edgefleet_server.request_limits.QUERY": value(1 << 30)},
    ),
    Defence(
        "one principal or one address floods the server",
        "token buckets by principal, and by address for enrolment",
        (
            _CONSOLE + "test_one_address_cannot_flood_enrolment",
            _CONSOLE + "test_one_principal_cannot_take_the_whole_server",
        ),
        {"edgefleet_server.rate_limits.Limiter._take": answering(0.0)},
    ),
    Defence(
        "refused acts fill the audit log and the disk",
        "refusals are written down by address and in total at a bounded rate, with a count of those left out",
        (_ROLES + "test_refused_acts_are_in_the_audit_log_and_cannot_fill_it",),
        {"edgefleet_server.rate_limits.Limiter.allows": answering(True)},
    ),
    Defence(
        "somebody with the database alters, removes or moves audit entries, or cuts off the end",
        "a hash chain from the first entry on, checked on the operator's machine, and a checkpoint kept outside",
        (
            _CHAIN + "test_whatever_is_done_to_an_entry_is_found",
            _CHAIN + "test_an_end_that_was_cut_off_is_found_by_the_checkpoint_alone",
            _CHAIN + "test_a_log_that_was_written_anew_is_found_by_the_checkpoint",
            _CHAIN + "test_an_entry_that_no_server_writes_is_an_altered_one",
            "tests/unit/test_server_audit_chain.py::test_a_log_that_nobody_touched_follows_from_itself",
            "tests/unit/test_server_audit_chain.py::test_a_database_of_the_first_schema_gets_a_chain_over_what_it_has",
            "tests/unit/test_server_audit_chain.py::test_an_act_that_is_undone_leaves_no_gap_in_the_chain",
            "tests/unit/test_server_audit_chain.py::test_many_writers_make_one_chain",
            "tests/unit/test_server_audit_chain.py::test_what_is_no_checkpoint_is_refused",
        ),
        {"edgefleet_server.audit.chain.link": answering("0" * 64)},
    ),
    Defence(
        "a statement changes the audit log",
        "triggers refuse UPDATE, DELETE and REPLACE",
        (_CHAIN + "test_the_database_refuses_to_change_the_log",),
        {"edgefleet_server.audit.append_only.STATEMENTS": value({"sqlite": ()})},
    ),
)
