"""Who may sign and speak for whom, of all who signed something in a bundle: certificates, and what tells of them.

The log's events where there are any; else the directory's rows, as statements under the exchange's seal alone. Reads
only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from broker.evidence.bundle.facts import at_of
from broker.evidence.bundle.heads import covered
from broker.evidence.bundle.material import Material, Signer
from broker.evidence.bundle.trees import SQL
from broker.store.pool import Connection
from schemas.jws import parse_stored
from schemas.manifest import StatusManifest, parse_manifest
from schemas.problem import Problem

FOREVER: Final = datetime.max.replace(tzinfo=UTC)


async def collect_directory(connection: Connection, material: Material, broker_thumbprint: bytes) -> None:
    """Certificates of everybody who signed, and what the log says of them, their hubs and the exchange.

    Raises Problem if the exchange's own certificate is not enrolled.
    """
    signed = [*material.documents.values(), *material.statuses.values(), *material.notices.values()]
    thumbprints = {broker_thumbprint, *(parse_stored(jws).thumbprint for jws in signed)}
    bodies = [*material.of_kind("accepted"), *material.of_kind("status_recorded")]
    thumbprints |= {bytes.fromhex(body["thumbprint"]) for body in bodies}
    for row in await connection.fetch(SQL["certificates"], sorted(thumbprints)):
        material.signers[row["thumbprint"]] = Signer(
            thumbprint=row["thumbprint"],
            der=row["der"],
            chain=tuple(row["chain"]),
            agency_id=row["agency_id"],
            code=row["code"],
        )
    if broker_thumbprint not in material.signers:
        raise Problem(
            "The exchange's own certificate is not enrolled in this database.",
            "the certificate with which bundles are sealed.",
            "Enrol it: `lienthong run`, `lienthong worker` and `lienthong pki init` do it when they start.",
        )
    signing, succeeding = _pairs(material, bodies)
    codes = sorted({code for pair in (*signing, *succeeding) for code in pair})
    ids = {signer.agency_id for signer in material.signers.values()}
    ids |= {row["agency_id"] for row in await connection.fetch(SQL["agency_ids"], codes)}
    told: dict[tuple[str, str, str], datetime] = {}
    for entry, _ in await covered(connection, material, "directory_events", sorted(ids)):
        reasons = _needed(entry.value, material, signing, succeeding)
        for reason in reasons:
            told[reason] = min(at_of(entry.value), told.get(reason, FOREVER))
        if reasons:
            material.entries[entry.origin_id, entry.position] = entry
    untold = [pair for pair, at in sorted(signing.items()) if told.get(("mandate", *pair), FOREVER) > at]
    for row in await connection.fetch(SQL["mandates"], [p[0] for p in untold], [p[1] for p in untold]):
        # What the row says of signing, a later event may have said: before it the row said something else.
        if not row["may_sign"] and ("mandate", row["hub"], row["agency"]) not in told:
            continue
        statement = {"kind": "mandate", "who": row["hub"], "agency": row["agency"], "from": str(row["valid_from"])}
        if row["valid_until"] is not None:
            statement["until"] = str(row["valid_until"])
        material.statements.append(statement)
    untold = [pair for pair in sorted(succeeding) if ("succession", *pair) not in told]
    for row in await connection.fetch(SQL["successions"], [p[0] for p in untold], [p[1] for p in untold]):
        material.statements.append(
            {"kind": "succession", "who": row["heir"], "agency": row["agency"], "from": str(row["on_date"])}
        )


def _pairs(
    material: Material, bodies: Sequence[Mapping[str, Any]]
) -> tuple[dict[tuple[str, str], datetime], set[tuple[str, str]]]:
    """Who signs for whom, as (hub, agency), with the first time; and who succeeds whom, as (heir, agency)."""
    signing: dict[tuple[str, str], datetime] = {}
    succeeding: set[tuple[str, str]] = set()
    for body in bodies:
        speaker = body["document" if body["event"] == "accepted" else "message"]["from"]
        signer = material.signers.get(bytes.fromhex(body["thumbprint"]))
        spoken_for = {(code, speaker) for code in (signer.code if signer else speaker, body["submitter"])}
        for item in body.get("items", ()):
            if item["recipient"] != speaker and item["code"] != "13":
                spoken_for.add((speaker, item["recipient"]))
                succeeding.add((speaker, item["recipient"]))
        for pair in spoken_for:
            if pair[0] != pair[1]:
                signing[pair] = min(at_of(body), signing.get(pair, FOREVER))
        jws = material.statuses.get(body.get("message", {}).get("digest"))
        manifest = parse_manifest(parse_stored(jws).payload) if jws is not None else None
        if isinstance(manifest, StatusManifest):
            spoken = {item.for_ for item in manifest.items if item.for_}
            succeeding |= {(heir, item["recipient"]) for heir in spoken for item in body["items"]}
    return signing, {pair for pair in succeeding if pair[0] != pair[1]}


def _needed(
    body: Mapping[str, Any],
    material: Material,
    signing: Collection[tuple[str, str]],
    succeeding: Collection[tuple[str, str]],
) -> set[tuple[str, str, str]]:
    """What a directory event is needed for: (kind, who, for whom)."""
    change, codes, facts = body["change"], body["codes"], body.get("facts", {})
    if change in ("certificate.enrolled", "certificate.revoked"):
        name = str(facts.get("thumbprint"))
        return {("certificate", name, "")} if bytes.fromhex(name) in material.signers else set()
    if change in ("mandate.given", "mandate.ended") and len(codes) == 2:
        return {("mandate", codes[1], codes[0])} if (codes[1], codes[0]) in signing else set()
    if change == "mandates.imported":
        return {("mandate", codes[0], agency) for agency in codes[1:] if (codes[0], agency) in signing}
    if change == "agency.added" and codes:
        needed = {("mandate", str(facts["hub"]), codes[0])} if (facts.get("hub"), codes[0]) in signing else set()
        return needed | ({("exchange", codes[0], "")} if facts.get("level") == "exchange" else set())
    if change == "agency.closed":
        return {("succession", heir, codes[0]) for heir in codes[1:] if (heir, codes[0]) in succeeding}
    return set()
