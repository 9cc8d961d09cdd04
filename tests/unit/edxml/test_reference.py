"""The reference page says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

from schemas.edxml.faults import Kind
from schemas.edxml.limits import LIMITS, Limits

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "edxml.md").read_text(encoding="utf-8")


def test_the_page_has_every_bound_with_its_value() -> None:
    told = {name: int(value) for name, value in re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE)}
    assert told == {field.name: getattr(LIMITS, field.name) for field in fields(Limits)}


def test_the_page_names_every_kind_of_fault() -> None:
    told = PAGE[PAGE.index("Kinds of fault") : PAGE.index("### Bounds")]
    assert [kind.value for kind in Kind] == re.findall(r"`([a-z0-9-]+)`", told.replace("`kind`", ""))
