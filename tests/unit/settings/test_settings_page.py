"""The page of settings says what the settings say now."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.settings import Settings
from broker.settings_page import PAGE, REPOSITORY, SECTIONS, main, meanings, page


def test_the_page_is_not_stale() -> None:
    assert main(["--check"]) == 0, "run `python -m broker.settings_page` and commit what it writes"


def test_a_stale_page_fails_and_is_put_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--root", str(tmp_path)]) == 1, "missing"
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    (tmp_path / PAGE).write_text(page().replace("`400`", "`401`"), encoding="utf-8")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "401" in (tmp_path / PAGE).read_text(encoding="utf-8"), "a check writes nothing"
    assert "python -m broker.settings_page" in capsys.readouterr().err


def test_every_setting_has_its_meaning_and_its_row() -> None:
    assert meanings().keys() >= Settings.model_fields.keys()
    for name in Settings.model_fields:
        assert f"| `{name}` | `LIENTHONG_{name.upper()}` |" in page()


def test_every_section_begins_at_a_setting() -> None:
    assert SECTIONS.keys() <= Settings.model_fields.keys()


def test_the_page_is_the_same_wherever_and_however_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = page()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIENTHONG_PREFETCH", "7")
    assert page() == before
    assert str(REPOSITORY) not in before
