"""Puts collected material into a bundle's lines, says the slips again, and seals the whole with the exchange's key."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from broker.evidence.bundle.facts import at_of
from broker.evidence.bundle.format import b64, count_lines, encode_line, jws_value, sort_key
from broker.evidence.bundle.lines import SPEC
from broker.evidence.bundle.material import Material
from broker.evidence.bundle.sealing import make_seal, seal_payload
from broker.identity import BrokerIdentity
from schemas.canonical import canonical_json, leaf_hash
from schemas.jws import parse_stored
from schemas.problem import Problem
from schemas.slip import SlipRecipient, encode_slip
from schemas.times import rfc3339


def assemble(material: Material, *, scope: Mapping[str, Any], identity: BrokerIdentity, made_at: datetime) -> bytes:
    """The bundle's bytes. Raises Problem if an event in the database is not what canonical JSON makes of it."""
    lines = _lines(material, identity)
    lines.append({"type": "bundle", "spec": SPEC, "made_at": rfc3339(made_at), "scope": dict(scope)})
    unique = {sort_key(line): line for line in lines}
    ordered = [unique[key] for key in sorted(unique)]
    body = b"".join(map(encode_line, ordered))
    payload = seal_payload(
        by=identity.code,
        made_at=rfc3339(made_at),
        scope=scope,
        sha256=sha256(body).hexdigest(),
        counts=count_lines(ordered),
    )
    seal = make_seal(payload, key=identity.key, thumbprint=identity.thumbprint)
    return body + encode_line({"type": "seal", "jws": seal})


def _lines(material: Material, identity: BrokerIdentity) -> list[dict[str, Any]]:
    used = {origin_id for origin_id, _ in material.entries}
    heads = sorted(
        (head for head in material.heads.values() if head.origin_id in used or head.since is not None),
        key=lambda head: head.origin,
    )
    number = {head.origin_id: at for at, head in enumerate(heads)}
    lines: list[dict[str, Any]] = []
    for head in heads:
        line: dict[str, Any] = {"type": "checkpoint", "origin": head.origin, "note": head.note}
        if head.since is not None:
            line |= {"since": head.since, "proof": [b64(one) for one in head.proof]}
        if head.timestamps:
            line["timestamps"] = [b64(one) for one in head.timestamps]
        lines.append(line)
    for signer in material.signers.values():
        lines.append({"type": "certificate", "der": b64(signer.der), "chain": [b64(one) for one in signer.chain]})
    lines += ({"type": "statement"} | statement for statement in material.statements)
    for kind, messages in (
        ("document", material.documents),
        ("status", material.statuses),
        ("notice", material.notices),
    ):
        lines += ({"type": kind, "jws": jws_value(parse_stored(jws))} for jws in messages.values())
    lines += ({"type": "slip", "jws": identity.sign_slip(payload)} for payload in _slips(material))
    for digest, (kind, why) in material.withheld.items():
        lines.append({"type": "withheld", "kind": kind, "digest": digest, "why": why})
    hashes = sorted({one for path in material.paths.values() for one in path})
    lines.append({"type": "hashes", "list": [b64(one) for one in hashes]})
    place = {one: at for at, one in enumerate(hashes)}
    for (origin_id, position), entry in material.entries.items():
        if canonical_json(entry.value) != entry.body:
            raise Problem(
                f"Log entry {position} is not what its event should look like.",
                "canonical JSON.",
                "Somebody changed the database: `lienthong audit verify` says what.",
            )
        lines.append(
            {
                "type": "event",
                "log": number[origin_id],
                "index": position,
                "path": [place[one] for one in material.paths[origin_id, position]],
                "body": entry.value,
            }
        )
    return lines


def _slips(material: Material) -> set[bytes]:
    """What the slips of every confirmed publish said, byte for byte; their signatures were not kept."""
    accepted: dict[str, Any] = {}
    for entry in material.entries.values():
        body = entry.value
        if body["event"] == "accepted" and body.get("part", 1) == 1:
            accepted[body["document"]["digest"]] = entry
    slips: set[bytes] = set()
    for entry in material.entries.values():
        body = entry.value
        if body["event"] != "dispatched" or body["message"]["digest"] not in accepted:
            continue
        digest = body["message"]["digest"]
        first = accepted[digest]
        signer = material.signers[bytes.fromhex(first.value["thumbprint"])]
        named = body.get("recipients")
        slips.add(
            encode_slip(
                from_=body["message"]["from"],
                id=body["message"]["id"],
                digest=digest,
                accepted_at=at_of(first.value),
                attempt=body["attempt"],
                certificate=b64encode(signer.der).decode(),
                leaf=leaf_hash(first.body).hex(),
                log_by=material.log_by[digest],
                recipients=None
                if named is None
                else [
                    SlipRecipient(code=code, addressed_as=material.addressed.get((digest, code), code))
                    for code in named
                ],
            )
        )
    return slips


def scope_of(document: Mapping[str, str], recipient: str | None) -> dict[str, Any]:
    """The scope of a bundle about one document, or about one delivery of it."""
    named: dict[str, Any] = {"document": json.loads(json.dumps(document))}
    return named if recipient is None else named | {"recipient": recipient}
