"""Where parts lie in a local content folder that an agency's adapter and the broker share on one machine.

An uploader writes to a temporary name in the same folder, fsyncs and renames, so that a file under its digest is always
complete. The broker, on acceptance, copies `stored` to `accepted` and hashes while it copies; recipients read from
`accepted` only, so nobody can change a part under a document that was already accepted. Paths are computed here and
nothing is opened.
"""

import re
from pathlib import Path
from typing import Final

from schemas.agency_codes import is_canonical

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def stored_path(root: Path, code: str, sha256: str) -> Path:
    """Where the agency `code` puts a part before it submits the document that names it.

    Raises ValueError if `code` is not canonical or `sha256` not 64 lower-case hex digits: either could leave `root`.
    """
    if not is_canonical(code):
        raise ValueError(f"not a canonical agency code: {code!r}")
    return root / "stored" / code / _checked(sha256)[:2] / sha256


def accepted_path(root: Path, sha256: str) -> Path:
    """Where the broker keeps a part of an accepted document. Raises ValueError as `stored_path` does."""
    return root / "accepted" / _checked(sha256)[:2] / sha256


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"not a SHA-256 in lower-case hex: {sha256!r}")
    return sha256
