"""`lienthong-agency edxml` takes what the folder takes: an edXML file, or one in a ZIP."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from typer.testing import CliRunner

from adapters.cli.edxml import app
from schemas.problem import Problem
from tests.kit.vxp import edoc


def test_a_file_in_a_zip_is_checked_and_a_zip_with_two_is_told_apart(tmp_path: Path) -> None:
    one, two, none = (tmp_path / f"{name}.edxml.zip" for name in ("one", "two", "none"))
    for path, names in ((one, ("58.edxml",)), (two, ("58.edxml", "59.edxml"))):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, edoc("H53.31", ["G22"]))
    none.write_bytes(b"no ZIP at all")
    checked = CliRunner().invoke(app, ["check", str(one), "--json"])
    assert checked.exit_code == 0 and json.loads(checked.stdout)[0]["kind"] == "document"
    shown = CliRunner().invoke(app, ["show", str(one)])
    assert shown.exit_code == 0 and "H53.31" in shown.output
    bad = CliRunner().invoke(app, ["check", str(two), str(none), "--json"])
    assert bad.exit_code == 3 and [row["good"] for row in json.loads(bad.stdout)] == [False, False]
    assert all("one edXML file" in row["error"]["expected"] for row in json.loads(bad.stdout))
    assert isinstance(CliRunner().invoke(app, ["show", str(two)]).exception, Problem)
