"""The manifest that travels behind a message that was made from it, so that nothing of it is lost in edXML.

It stands in a processing instruction after the root element, where every reader of the format ignores it:
`<?lienthong 1 <fingerprint> <base64 of the deflated manifest>?>`. The fingerprint is over everything the message says,
but for the hops that relays add. If somebody has changed the message since, what is carried no longer counts.
"""

import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import replace
from hashlib import sha256
from typing import Final

from schemas.canonical import canonical_json
from schemas.edxml.kept import Json, document_json, status_json
from schemas.edxml.limits import KIB
from schemas.edxml.reading import read
from schemas.edxml.records import Document, Message
from schemas.edxml.writing import write
from schemas.jws import MAX_MESSAGE

_VERSION: Final = "1"

LIMIT: Final = 200 * KIB
"""Characters that are written; a manifest that takes more is not carried."""


def fingerprint(message: Message) -> str:
    """SHA-256 of what the message says: header, business, attachments with their digests; not of its hops."""
    said: Json
    if isinstance(message, Document):
        said = document_json(message)
        said.get("TraceHeaderList", {}).pop("TraceHeader", None)
        said["digests"] = [one.content.sha256 if one.content else None for one in message.attachments]
    else:
        said = status_json(message)
    return sha256(canonical_json(said)).hexdigest()


def carry(message: Message, payload: bytes) -> str | None:
    """What to write behind `message` so that it carries the manifest `payload`; None if that is too large."""
    packed = b64encode(zlib.compress(payload, 9)).decode()
    return f"{_VERSION} {fingerprint(_as_read(message))} {packed}" if len(packed) <= LIMIT else None


def _as_read(message: Message) -> Message:
    """The message as a reader will find it: XML has no empty texts apart from absent ones."""
    attachments = message.attachments if isinstance(message, Document) else ()
    bare = replace(message, attachments=()) if isinstance(message, Document) else message
    found = read(write(bare)).message
    assert found is not None
    return replace(found, attachments=attachments) if isinstance(found, Document) else found


def carried_by(message: Message) -> bytes | None:
    """The bytes of the manifest that `message` carries; None if it carries none, or was changed since.

    They come from outside: whoever uses them parses them like any manifest, and nobody has signed them here.
    """
    words = (message.carried or "").split()
    if len(words) != 3 or words[0] != _VERSION or words[1] != fingerprint(message):
        return None
    try:
        inflate = zlib.decompressobj()
        payload = inflate.decompress(b64decode(words[2], validate=True), MAX_MESSAGE)
    except (Base64Error, zlib.error):
        return None
    return payload if inflate.eof else None
