"""Where parts lie: the same on both ends, and never outside the folder."""

from pathlib import Path

import pytest

from schemas.content_layout import accepted_path, stored_path

ROOT = Path("/content")
DIGEST = "ab" + "cd" * 31


def test_each_agency_stores_below_its_own_code_and_the_exchange_keeps_one_copy() -> None:
    assert stored_path(ROOT, "H53.31", DIGEST) == ROOT / "stored" / "H53.31" / "ab" / DIGEST
    assert accepted_path(ROOT, DIGEST) == ROOT / "accepted" / "ab" / DIGEST


@pytest.mark.parametrize(
    "digest", ["", "..", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", f"{DIGEST}\n"]
)
def test_what_is_no_digest_names_no_path(digest: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        accepted_path(ROOT, digest)
    with pytest.raises(ValueError, match="SHA-256"):
        stored_path(ROOT, "H53", digest)


@pytest.mark.parametrize("code", ["", "..", "H53/..", "h53", "."])
def test_what_is_no_code_names_no_path(code: str) -> None:
    with pytest.raises(ValueError, match="code"):
        stored_path(ROOT, code, DIGEST)
