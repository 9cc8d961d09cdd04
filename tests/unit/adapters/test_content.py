"""What is put into the shared folder is there after a loss of power: the bytes, their name, and every folder above."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from adapters.content import LocalFolder
from schemas.content_layout import stored_path


def test_every_new_name_is_synced_before_a_part_counts_as_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    real = os.fsync

    def noted(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    root = tmp_path / "content"
    data = b"a part"
    digest = hashlib.sha256(data).hexdigest()
    LocalFolder(root, "H53.07").put(data, digest)
    target = stored_path(root, "H53.07", digest)
    assert target.read_bytes() == data
    folders = [path for path in synced if path.is_dir()]
    # From the top down, and the last of all is the one in which the file has got its name.
    above = [folder for folder in reversed(target.parents) if folder.is_relative_to(tmp_path)]
    assert folders == above
    assert not synced[-2].is_dir(), "the bytes come right before their name"
