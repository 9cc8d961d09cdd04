"""From the settings to a content store. The one place that knows which kinds there are."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, S3Store

from broker.content.folder import ContentFolder
from broker.content.objects import ObjectContent
from broker.content.store import ContentStore
from schemas.problem import Problem

SCHEMES: Final = ("s3", "memory")
"""Kinds of addresses that are offered: what was tested. The last one is for tests only."""


class HasContent(Protocol):
    """What settings must offer for a content store to be opened from them."""

    @property
    def content_url(self) -> str: ...
    @property
    def content_dir(self) -> Path: ...
    @property
    def content_largest_bytes(self) -> int: ...


def open_content(settings: HasContent) -> ContentStore:
    """The content store that the settings name; nothing is connected to yet.

    Credentials of an S3 come from the environment as for every S3 client: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_ENDPOINT_URL, AWS_REGION, AWS_ALLOW_HTTP, AWS_TIMEOUT. Raises Problem for an address that cannot be used.
    """
    url, largest = settings.content_url, settings.content_largest_bytes
    scheme = urlsplit(url).scheme
    if not url or scheme == "file":
        return _folder(Path(urlsplit(url).path) if url else settings.content_dir, largest)
    if scheme not in SCHEMES:
        raise _unusable(f"content_url begins with {scheme or 'nothing'}")
    try:
        if scheme == "memory":
            return ObjectContent(MemoryStore(), shared=settings.content_dir, largest=largest)
        # Objects go one by one: not every S3 can remove many with one request, and what fails of many is not retried.
        store = S3Store.from_url(url, disable_bulk_delete=True)
        return ObjectContent(store, shared=settings.content_dir, largest=largest)
    except (BaseError, ValueError) as error:
        raise _unusable(f"content_url cannot be used: {error}") from error


def _folder(root: Path, largest: int) -> ContentStore:
    try:
        return ContentFolder(root, largest=largest)
    except (OSError, BaseError, ValueError) as error:
        raise Problem(
            f"the content folder {root} cannot be used: {error}",
            "a folder that this program may make or use",
            "Correct content_dir (or content_url), or the rights of the folder and of those above it.",
        ) from error


def _unusable(found: str) -> Problem:
    return Problem(
        found,
        "nothing (the folder content_dir), file:///folder, or s3://bucket/prefix",
        "Correct content_url; credentials belong into the environment, as AWS_ACCESS_KEY_ID and the like.",
    )
