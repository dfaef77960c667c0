"""Groups: ``all`` devices, those with a tag ``key=value``, or a name, which is short for ``group=name``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.devices.models import ACTIVE, Device, Tag

ALL = "all"
GROUP_KEY = "group"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/@+-]{0,127}")

_SHOWN = 200  # characters of a wrong tag: more than any right one has


@dataclass(frozen=True)
class Selector:
    """Which devices belong to a group; ``tag`` is None for all of them."""

    tag: tuple[str, str] | None

    def query(self) -> Select[Device]:
        """The devices of the group, by id."""
        query = select(Device).order_by(Device.id)
        if self.tag is None:
            return query
        key, value = self.tag
        return query.join(Tag, Tag.device_id == Device.id).where(Tag.key == key, Tag.value == value)


def parse_selector(text: str) -> Selector:
    """The group that an operator named.

    Raises:
        UsageMalformed: It is no group.
    """
    if text == ALL:
        return Selector(None)
    key, equals, value = text.partition("=")
    return Selector(check_tag(key, value) if equals else check_tag(GROUP_KEY, text))


def check_tag(key: str, value: str) -> tuple[str, str]:
    """The tag, if it is one.

    Raises:
        UsageMalformed: Its key or value has characters that tags do not have.
    """
    if _KEY.fullmatch(key) is None or _VALUE.fullmatch(value) is None:
        raise UsageMalformed(
            f"The tag is {f'{key}={value}'[:_SHOWN]!r}",
            expected="KEY=VALUE: letters, digits and . _ / - in the key (64), also space : @ + in the value (128)",
        )
    return key, value


def devices_of(session: Session, selector: Selector) -> list[Device]:
    """All active devices of a group, by id."""
    return list(session.scalars(selector.query().where(Device.standing == ACTIVE)))
