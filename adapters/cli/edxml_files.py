"""The files of `lienthong-agency edxml`: edXML files in, a manifest with a folder of parts out, and back."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from adapters.folder.contents import BadZip, FileContent, unzipped
from schemas.edxml.content import Content
from schemas.edxml.limits import LIMITS
from schemas.jws import MAX_MESSAGE, parse_stored
from schemas.manifest import DocumentManifest
from schemas.problem import Problem

MANIFEST: Final = "manifest.json"
"""The manifest: exactly the bytes to be signed."""

DRAFT: Final = "draft.json"
"""A status that could not be tied to a document: not a manifest."""

PARTS: Final = "parts"
"""The folder with the bytes of the parts; found again by their digests, whatever they are called."""

STDIN: Final = "-"
"""The name of standard input."""

Advance = Callable[[int], None]


def read_message(path: Path) -> bytes:
    """The bytes of an edXML file, also out of its ZIP, of a pipe, or with `-` of standard input.

    Raises Problem if it is larger than any is, or in a ZIP that does not hold one.
    """
    with open(sys.stdin.fileno(), "rb", closefd=False) if str(path) == STDIN else _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > LIMITS.file else file.read(LIMITS.file + 1)
    if max(size, len(data)) > LIMITS.file:
        told = max(size, len(data))
        raise Problem(
            f"{path} has {told} bytes or more / có từ {told} byte",
            f"an edXML file of at most {LIMITS.file} bytes / tệp edXML tối đa {LIMITS.file} byte",
            "Send large attachments outside edXML / Gửi tệp đính kèm lớn bằng cách khác",
        )
    return _out_of_zip(path, data) if path.name.lower().endswith(".zip") else data


def _out_of_zip(path: Path, data: bytes) -> bytes:
    try:
        return unzipped(data)
    except (BadZip, ValueError) as why:
        said = " / ".join(why.found) if isinstance(why, BadZip) else str(why)
        raise Problem(
            f"{path}: {said}",
            "a ZIP with one edXML file / tệp ZIP có đúng một tệp edXML",
            "Pack it again, or name the file itself / Hãy nén lại, hoặc chọn chính tệp edXML",
        ) from why


def _opened(path: Path) -> BinaryIO:
    if not (path.is_fifo() or path.is_file()):
        path.stat()  # says better what is wrong, if it is not there
        raise Problem(f"{path} is not a file", "an edXML file", "Name a file")
    return path.open("rb")


def read_payload(path: Path) -> bytes:
    """The bytes of a manifest: from a folder, a manifest.json, or a whole signed message. Raises Problem."""
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        draft = path / DRAFT
        if draft.is_file():
            return read_payload(draft)
        raise Problem(f"no {file}", f"a folder that `edxml convert` wrote, or a {MANIFEST}", "Correct the path")
    if file.stat().st_size > MAX_MESSAGE:
        raise Problem(f"{file} has {file.stat().st_size} bytes", f"at most {MAX_MESSAGE}", "Name a manifest")
    data = file.read_bytes()
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as why:
        raise Problem(f"{file} is not JSON: {why}", "a manifest", f"Name a {MANIFEST}") from why
    if not isinstance(found, dict):
        raise Problem(f"{file} holds no object", "a manifest", f"Name a {MANIFEST}")
    return parse_stored(data).payload if "payload" in found and "protected" in found else data


def parts_beside(path: Path, advance: Advance) -> dict[str, Content]:
    """The files in the parts folder that belongs to a manifest, by digest."""
    folder = (path if path.is_dir() else path.parent) / PARTS
    found: dict[str, Content] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.is_file():
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            found[digest] = FileContent(file, file.stat().st_size, digest)
            advance(found[digest].size)
    return found


def new_folder(folder: Path, *, force: bool) -> Path:
    """A folder to write into. Raises Problem if there is something in it already, unless `force`."""
    if folder.is_file():
        raise Problem(f"{folder} is a file", "a folder to write into", "Name another with -o")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise Problem(f"{folder} is not empty", "a new or empty folder", "Name another with -o, or add --force")
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    return folder


def write_parts(
    folder: Path, manifest: DocumentManifest, contents: Mapping[str, Content], advance: Advance
) -> list[Path]:
    """Write the bytes of all parts under their names; the position in front keeps equal names apart."""
    written = []
    for position, part in enumerate(manifest.parts, start=1):
        room = 255 - 4
        name = part.name.encode()[-room:].decode("utf-8", "ignore")
        target = folder / PARTS / f"{position:02}-{name}"
        write(target, contents[part.sha256].pieces(), advance)
        written.append(target)
    return written


def write(target: Path, pieces: Iterable[bytes], advance: Advance) -> None:
    """Write a file; it is there whole or not at all."""
    partial = target.with_name(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                advance(len(piece))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def pretty(value: Any) -> bytes:
    """JSON for people to read."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()
