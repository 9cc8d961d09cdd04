"""Go's tlog and note packages as a verifier that is not ours; a test skips, saying why, where there is no Go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "interop" / "go"
PACKAGES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
"""Where Debian's golang-golang-x-mod-dev puts them."""


def built(folder: Path) -> Path:
    """The program, compiled into `folder`."""
    go = shutil.which("go")
    if go is None or not PACKAGES.is_dir():
        pytest.skip("no Go here: apt install golang-go golang-golang-x-mod-dev, then run this test again")
    program = folder / "verify"
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": str(PACKAGES.parents[4]),
        "GOFLAGS": "",
        "GOCACHE": os.environ.get("GOCACHE", str(folder / "cache")),
    }
    subprocess.run([go, "build", "-o", program, str(SOURCE / "main.go")], env=environment, check=True, cwd=SOURCE)
    return program


def verified(program: Path, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and what it printed."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
