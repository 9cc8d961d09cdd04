"""A story for verifiers that are not ours."""

from __future__ import annotations

import pytest

from tests.kit.evidence_story import Told, story


@pytest.fixture(scope="session")
def told() -> Told:
    return story(noise=40)


@pytest.fixture(scope="session")
def bundle(told: Told) -> bytes:
    return told.paper.bundle(told.letter, since=told.first_note, since_size=told.first_size)
