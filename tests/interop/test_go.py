"""Go's tlog and note packages take a bundle's checkpoint, inclusion proofs and consistency proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.evidence_story import Told
from tests.kit.go_verifier import built, verified


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("go"))


def test_go_takes_a_bundle_and_refuses_a_changed_one(told: Told, bundle: bytes, program: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle"
    file.write_bytes(bundle)
    code, said = verified(program, "bundle", file, told.paper.vkey())
    events = bundle.count(b'"type":"event"}')
    assert (code, said) == (
        0,
        f"consistent {told.first_size} {len(told.paper.leaves(told.paper.origin))}\nincluded {events}\n",
    )

    for before, after in (
        (b'"code":"03"', b'"code":"06"'),
        (b'"proof":["', b'"proof":["AAAA'),
        (b'"path":[', b'"path":[0,'),
    ):
        assert before in bundle
        file.write_bytes(bundle.replace(before, after, 1))
        assert verified(program, "bundle", file, told.paper.vkey())[0] == 1
