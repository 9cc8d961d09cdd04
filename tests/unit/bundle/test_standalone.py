"""The program for auditors stands on its own: one file, an old Python, one package."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from broker.evidence.standalone import check_bundle
from tests.kit.evidence_story import Told
from tests.unit.schemas.manifest_examples import BAD, GOOD, JsonObject

PROGRAM = Path(check_bundle.__file__)


def test_it_imports_nothing_of_ours_and_reads_on_an_old_python() -> None:
    tree = ast.parse(PROGRAM.read_text(), feature_version=(3, 9))
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules - set(sys.stdlib_module_names) == {"cryptography"}


def taken(manifest: JsonObject, kind: str) -> bool:
    try:
        check_bundle.read_manifest(json.dumps(manifest).encode(), kind)
    except ValueError:
        return False
    return True


def test_it_reads_the_messages_that_the_exchange_reads_and_no_others() -> None:
    kinds = ("document", "status", "notice")
    good = {name: manifest for name, manifest in GOOD.items() if manifest["kind"] in kinds}
    assert [name for name, manifest in good.items() if not taken(manifest, manifest["kind"])] == []
    bad = [(one.name, one.manifest) for one in BAD if one.manifest.get("kind", "document") in kinds]
    assert [name for name, manifest in bad if taken(manifest, manifest.get("kind", "document"))] == []


def test_no_text_takes_it_longer_than_its_length() -> None:
    # Shapes are looked at before any signature is: half an hour for each of these would be anybody's to ask for.
    for begun in ("a", " ", ".", "A1."):
        for end in ("/", "\n", "\u202e"):
            endless = begun * 400_000 + end
            rules = (check_bundle.NAME, check_bundle.ADDRESSEE, check_bundle.CODE, check_bundle.MEDIA_TYPE)
            assert not any(rule(endless) for rule in rules)


def test_it_runs_by_itself_and_says_why_not(told: Told, bundle: bytes, tmp_path: Path) -> None:
    program, file, key = tmp_path / "check_bundle.py", tmp_path / "bundle", tmp_path / "log.vkey"
    program.write_bytes(PROGRAM.read_bytes())
    file.write_bytes(bundle)
    key.write_text(f"{told.paper.vkey()}\n")
    command = [sys.executable, "-I", program, file, "--key", key]

    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "GOOD" in done.stdout and "key kept by the exchange" in done.stdout

    file.write_bytes(bundle.replace(b'"code":"03"', b'"code":"06"', 1))
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "[inclusion]" in done.stdout

    # Nobody reads the verdict to its end: that is no "good" and no "not good".
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as unread:
        assert unread.stdout is not None and unread.stderr is not None
        unread.stdout.close()
        assert unread.stderr.read() == b""
    assert unread.returncode == 141
