"""A corpus of attacks: nothing gets through, nothing hangs, nothing is opened."""

from __future__ import annotations

import builtins
import socket
from time import process_time
from typing import Any

import pytest

from schemas.edxml.documents import document_manifest
from schemas.edxml.reading import read
from schemas.manifest import DocumentManifest
from tests.fuzz.attacks import ATTACKS, HARMLESS

SECONDS = 2.0
"""Of processor time for one file; most take a thousandth."""


@pytest.fixture(autouse=True)
def _nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("reading a file opened something")

    monkeypatch.setattr(builtins, "open", refused)
    monkeypatch.setattr(socket, "socket", refused)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_with_a_reason_and_at_once(name: str) -> None:
    data = ATTACKS[name]()
    began = process_time()
    found = read(data)
    took = process_time() - began
    assert not found.good and found.errors, name
    assert all(fault.place.line >= 1 and fault.en.isprintable() and fault.vi.isprintable() for fault in found.faults)
    assert took < SECONDS, f"{name}: {took:.1f} s"


@pytest.mark.parametrize("name", HARMLESS)
def test_what_would_harm_a_believer_becomes_a_plain_name_or_nothing(name: str) -> None:
    made = document_manifest(read(HARMLESS[name]()))
    assert isinstance(made.manifest, DocumentManifest)
    for part in made.manifest.parts:
        assert "/" not in part.name and "\\" not in part.name and "\u202e" not in part.name
        assert part.name not in (".", "..")
