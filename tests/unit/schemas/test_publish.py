"""What is generated from the schemas is in the repository as they say it now."""

from pathlib import Path

import pytest

from schemas.errors import CATALOGUE
from schemas.publish import REPOSITORY, generated, main, publish, stale
from schemas.states import mermaid


def test_no_published_file_is_stale() -> None:
    assert stale(REPOSITORY) == [], "run `python -m schemas.publish` and commit what it writes"


def test_check_finds_what_is_missing_or_changed_and_publish_puts_it_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(publish(tmp_path)) == sorted(generated())
    assert main(["--check", "--root", str(tmp_path)]) == 0
    changed, missing = tmp_path / "docs/reference/errors.md", tmp_path / "schemas/json/status.schema.json"
    changed.write_text("Nothing ever goes wrong.", encoding="utf-8")
    missing.unlink()
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert changed.read_text(encoding="utf-8") == "Nothing ever goes wrong.", "a check writes nothing"
    told = capsys.readouterr().err
    assert "docs/reference/errors.md" in told
    assert "schemas/json/status.schema.json" in told
    assert "python -m schemas.publish" in told
    assert main(["--root", str(tmp_path)]) == 0
    assert stale(tmp_path) == []


def test_the_pages_hold_the_whole_catalogue_and_both_diagrams() -> None:
    files = generated()
    for code, entry in CATALOGUE.items():
        assert f"### {code}\n" in files["docs/reference/errors.md"]
        for text in (entry.en, entry.vi, entry.remedy_en, entry.remedy_vi):
            assert text in files["docs/reference/errors.md"]
    assert mermaid() in files["docs/reference/delivery-states.md"]
