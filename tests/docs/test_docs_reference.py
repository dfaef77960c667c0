"""The documentation is true: reference pages are what the code says, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from edgefleet_hardware.profile import parse_profile

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")})
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["errors.md", "topics.md", "targets.md", "command-line.md", "report.schema.json"])
def test_the_reference_page_is_what_the_code_says(name: str) -> None:
    committed = (ROOT / "docs" / "reference" / name).read_text()
    assert committed == writer().pages()[name], "run: python scripts/reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


def test_the_profile_in_the_guide_is_one() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guide/add-a-target.md").read_text(), re.DOTALL)
    profile = parse_profile(shown.encode(), where="the guide")
    assert profile.is_microcontroller
    assert profile.runtimes[0].operators is not None


def test_every_setting_read_from_the_environment_is_documented() -> None:
    code = "".join(
        path.read_text()
        for folder in ("cli", "compiler", "agent", "fleet_server", "hardware", "contract")
        for path in (ROOT / folder).rglob("*.py")
    )
    documented = (ROOT / "docs" / "reference" / "settings.md").read_text()
    used = set(re.findall(r'"(EDGEFLEET_[A-Z_]+)"', code))
    assert used
    assert [name for name in sorted(used) if f"`{name}`" not in documented] == []
