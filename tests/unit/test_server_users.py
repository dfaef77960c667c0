"""Users, passwords and API tokens, without HTTP: who gets in, and as what."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from edgefleet_contract.errors import Conflict, NotFound, RateLimited, Unauthorized, UsageMalformed
from edgefleet_server import rate_limits
from edgefleet_server.clock import DAY, SECOND
from edgefleet_server.data_folder import admin_token_path
from edgefleet_server.rate_limits import Limiter, Rate
from edgefleet_server.users import accounts, api_tokens, passwords
from edgefleet_server.users.models import ApiToken, User
from edgefleet_server.users.roles import Role
from support.server_people import PASSWORD, token, user
from support.server_state import Inside, TurnableClock


def everything_kept(inside: Inside) -> str:
    """All rows of all tables, as text."""
    with inside.database.read() as session:
        tables = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        return "\n".join(str(session.execute(text(f'SELECT * FROM "{table}"')).all()) for table in tables)


def test_a_password_is_kept_as_a_salted_slow_hash() -> None:
    first, second = passwords.hashed(PASSWORD), passwords.hashed(PASSWORD)
    assert first != second
    assert re.fullmatch(r"scrypt\$15\$8\$3\$[^$]{24}\$[^$]{44}", first)
    assert passwords.matches(PASSWORD, first)
    assert not passwords.matches(PASSWORD + " ", first)
    assert not passwords.matches(PASSWORD, None)


@pytest.mark.parametrize("spoiled", ["", "short", "aaaaaaaaaaaaaaaaaaaa", "jo.jo.jo.jo." * 30, "joanna123456"])
def test_a_password_that_is_easily_guessed_is_refused(spoiled: str) -> None:
    with pytest.raises(UsageMalformed):
        passwords.check_acceptable(spoiled, "joanna")


@pytest.mark.parametrize("name", ["", "Jo", "admin", "policy", "d-abcdefghijklmnop", "token:1", "jo jo", "ö", "a" * 65])
def test_a_name_that_could_be_taken_for_another_actor_is_refused(inside: Inside, name: str) -> None:
    with pytest.raises(UsageMalformed), inside.fleet.change("admin") as change:
        accounts.add(change, name, Role.ADMIN)


def test_a_new_user_has_no_password_until_they_set_one_by_their_word(inside: Inside) -> None:
    with inside.fleet.change("admin") as change:
        _, word = accounts.add(change, "jo", Role.VIEWER)
    assert word not in everything_kept(inside)
    with pytest.raises(Unauthorized):
        inside.gate.sign_in_by_password("jo", "", None)
    with pytest.raises(Unauthorized):
        inside.gate.set_up("jo", word[:-1], PASSWORD, None)
    with pytest.raises(UsageMalformed):
        inside.gate.set_up("jo", word, "short", None)
    assert inside.gate.set_up("jo", word, PASSWORD, None)
    with pytest.raises(Unauthorized):
        inside.gate.set_up("jo", word, PASSWORD + "2", None)
    assert inside.gate.sign_in_by_password("jo", PASSWORD, None)
    assert PASSWORD not in everything_kept(inside)


def test_a_setup_word_ends_after_a_day(inside: Inside) -> None:
    with inside.fleet.change("admin") as change:
        _, word = accounts.add(change, "jo", Role.VIEWER)
    inside.clock.turn(accounts.SETUP_LIFE)
    with pytest.raises(Unauthorized):
        inside.gate.set_up("jo", word, PASSWORD, None)


def test_a_user_is_added_once_and_never_removed(inside: Inside) -> None:
    user(inside)
    with pytest.raises(Conflict), inside.fleet.change("admin") as change:
        accounts.add(change, "jo", Role.ADMIN)
    with inside.fleet.change("admin") as change:
        accounts.set_disabled(change, "jo", True)
    with pytest.raises(Unauthorized):
        inside.gate.sign_in_by_password("jo", PASSWORD, None)
    with inside.fleet.change("admin") as change:
        accounts.set_disabled(change, "jo", False)
    assert inside.gate.sign_in_by_password("jo", PASSWORD, None)
    with pytest.raises(NotFound), inside.fleet.change("admin") as change:
        accounts.set_role(change, "nobody", Role.ADMIN)


def test_what_is_typed_as_a_wrong_name_is_not_written_down(inside: Inside) -> None:
    with pytest.raises(Unauthorized):
        inside.gate.sign_in_by_password(PASSWORD, "jo", "192.0.2.1")
    assert inside.acts()[-1] == "sign_in.refused"
    assert PASSWORD not in everything_kept(inside)


@pytest.mark.attack
def test_a_token_is_kept_as_its_hash_and_found_by_its_id(inside: Inside) -> None:
    made = token(inside, Role.OPERATOR)
    prefix, token_id, secret = made.split("_", 2)
    assert prefix == "eft"
    assert len(secret) == 43
    assert secret not in everything_kept(inside)
    with inside.database.read() as session:
        assert api_tokens.check(session, inside.clock(), made).id == token_id


@pytest.mark.parametrize("spoiled", ["eft_", "eft__", "eft_{id}_", "eft_{id}_{secret}x", "eft_{id}", "eft_x_{secret}"])
def test_a_token_that_is_nearly_right_is_wrong(inside: Inside, spoiled: str) -> None:
    _, token_id, secret = token(inside, Role.ADMIN).split("_", 2)
    with pytest.raises(Unauthorized), inside.database.read() as session:
        api_tokens.check(session, inside.clock(), spoiled.format(id=token_id, secret=secret))


def test_a_token_ends_by_itself_or_when_it_is_revoked(inside: Inside) -> None:
    short, long = token(inside, Role.VIEWER, life=DAY), token(inside, Role.VIEWER, life=2 * DAY)
    inside.clock.turn(DAY)
    with inside.database.read() as session:
        with pytest.raises(Unauthorized, match="has expired"):
            api_tokens.check(session, inside.clock(), short)
        api_tokens.check(session, inside.clock(), long)
    for _ in range(2):
        with inside.fleet.change("admin") as change:
            api_tokens.revoke(change, long.split("_")[1])
    with pytest.raises(Unauthorized, match="was revoked"), inside.database.read() as session:
        api_tokens.check(session, inside.clock(), long)
    assert inside.acts().count("api_token.revoked") == 1


@pytest.mark.parametrize(("life", "said"), [(0, "0 s"), (-1, "-0.001 s"), (1000 * DAY, "1000 days")])
def test_a_token_that_never_ends_is_not_made(inside: Inside, life: int, said: str) -> None:
    with pytest.raises(UsageMalformed, match=f"would live {said}"):
        token(inside, Role.VIEWER, life=life)


def test_a_scope_that_no_route_has_is_refused_with_those_there_are(inside: Inside) -> None:
    with pytest.raises(UsageMalformed, match="releases:push"):
        token(inside, Role.OPERATOR, "releases:everything")


def test_writing_includes_reading_and_nothing_else() -> None:
    scopes = {"releases:push", "devices:read"}
    allowed = {(tag, writes) for tag in ("releases", "devices", "rollouts") for writes in (False, True)
               if api_tokens.allows(scopes, tag, writes=writes)}  # fmt: skip
    assert allowed == {("releases", False), ("releases", True), ("devices", False)}


def test_the_first_admin_token_can_be_retired(inside: Inside) -> None:
    path = admin_token_path(inside.data.path)
    path.write_text("retired\n")
    assert inside.data.admin_token() is None
    path.unlink()
    assert inside.data.admin_token(), "whoever has the machine is never locked out"


def test_no_secret_is_in_the_repr_of_a_row(inside: Inside) -> None:
    user(inside)
    token(inside, Role.VIEWER)
    with inside.database.read() as session:
        for row in (*session.query(User), *session.query(ApiToken)):
            assert "scrypt" not in repr(row)


def test_a_bucket_lets_a_burst_through_and_then_as_many_as_flow_in() -> None:
    clock = TurnableClock()
    limiter = Limiter("tries", Rate(3, 0.5), clock)
    for _ in range(3):
        limiter.take("jo")
    with pytest.raises(RateLimited) as refused:
        limiter.take("jo")
    assert refused.value.facts["retry_after"] == 2
    limiter.take("another")
    clock.turn(2 * SECOND)
    limiter.take("jo")
    assert not limiter.allows("jo")
    clock.turn(3600 * SECOND)
    assert [limiter.allows("jo") for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_fills_no_bucket() -> None:
    clock = TurnableClock()
    limiter = Limiter("tries", Rate(1, 1), clock)
    limiter.take("jo")
    clock.turn(-3600 * SECOND)
    assert not limiter.allows("jo")


def test_an_attacker_with_many_names_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "BUCKETS", 100)
    limiter = Limiter("tries", Rate(1, 1), TurnableClock())
    for number in range(1000):
        limiter.allows(str(number))
    assert len(limiter._buckets) <= 101, "those that come new share one"


@pytest.mark.attack
def test_an_attacker_with_many_names_gets_no_new_tries_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "BUCKETS", 100)
    clock = TurnableClock()
    limiter = Limiter("tries", Rate(2, 0.1), clock)
    assert [limiter.allows("jo") for _ in range(3)] == [True, True, False]
    for number in range(1000):
        limiter.allows(str(number))
    assert not limiter.allows("jo")
    clock.turn(60 * SECOND)
    assert [limiter.allows("somebody new") for _ in range(3)] == [True, True, False], "full buckets make room"


@pytest.mark.attack
def test_a_site_with_many_addresses_has_one_bucket(inside: Inside) -> None:
    for number in range(10):
        with pytest.raises(Unauthorized):
            inside.gate.sign_in_by_password(f"jo{number}", PASSWORD, f"2001:db8:1:2::{number:x}")
    with pytest.raises(RateLimited):
        inside.gate.sign_in_by_password("jo", PASSWORD, "2001:db8:1:2:ffff::1")
    with pytest.raises(Unauthorized):
        inside.gate.sign_in_by_password("jo", PASSWORD, "2001:db8:1:3::1")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_an_address_is_limited_by_its_site(origin: str | None, site: str) -> None:
    assert rate_limits.site_of(origin) == site
