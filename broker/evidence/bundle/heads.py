"""The checkpoints to which a bundle proves everything: which they are, what they cover, the paths to them.

Reads only.
"""

from __future__ import annotations

import json

from broker.evidence.bundle.material import Entry, Head, Material
from broker.evidence.bundle.trees import SQL, load_nodes
from broker.evidence.merkle import consistency_proof, inclusion_proof, nodes_of_consistency, nodes_of_inclusion
from broker.evidence.notes import Checkpoint, parse_note
from broker.store.pool import Connection
from schemas.problem import Problem


async def heads_of(connection: Connection, since: bytes | None = None) -> dict[int, Head]:
    """The newest checkpoint of every origin, with witnesses' signatures; `since` is an older note to continue from.

    Raises Problem if `since` is no checkpoint of this log.
    """
    heads: dict[int, Head] = {}
    older = Checkpoint.parse(parse_note(since).text) if since is not None else None
    for row in await connection.fetch(SQL["checkpoints"]):
        note = await _with_witnesses(connection, row["origin_id"], row["size"], row["note"])
        old: str | None = None
        proof: tuple[bytes, ...] = ()
        if older is not None and since is not None and older.origin == row["origin"]:
            if older.size > row["size"]:
                raise Problem(
                    f"The older checkpoint covers {older.size} entries, and the newest one only {row['size']}.",
                    "a checkpoint from before.",
                    "Compare the log with `lienthong audit verify`: a log never shrinks.",
                )
            places = nodes_of_consistency(older.size, row["size"])
            node = await load_nodes(connection, row["origin_id"], places)
            old, proof = since.decode(), tuple(consistency_proof(older.size, row["size"], node))
        heads[row["origin_id"]] = Head(
            origin_id=row["origin_id"], origin=row["origin"], size=row["size"], note=note, since=old, proof=proof
        )
    if older is not None and not any(head.since for head in heads.values()):
        raise Problem(
            f"No log here is called {older.origin}.",
            f"a checkpoint of {', '.join(head.origin for head in heads.values()) or 'this exchange'}.",
            "Name the file of an older checkpoint of this very exchange.",
        )
    if not heads:
        raise Problem(
            "This exchange has signed no checkpoint yet.",
            "a log with at least one checkpoint.",
            "Let the keeper run (`lienthong keeper`), and look at `lienthong audit checkpoint`.",
        )
    return heads


async def covered(
    connection: Connection, material: Material, query: str, *arguments: object
) -> list[tuple[Entry, int | None]]:
    """Events that the checkpoints cover, in the order of the log, each with the document that it is about."""
    found = []
    for row in await connection.fetch(SQL[query], *arguments):
        head = material.heads.get(row["origin_id"])
        if head is None or row["position"] >= head.size:
            continue
        entry = Entry(
            body=row["body"],
            value=json.loads(row["body"]),
            origin_id=row["origin_id"],
            position=row["position"],
        )
        found.append((entry, row["document_id"]))
    return sorted(found, key=lambda pair: (pair[0].origin_id, pair[0].position))


async def take_stamped(connection: Connection, material: Material) -> None:
    """The first timestamped checkpoint above everything that was collected bounds its time from above most closely."""
    for origin_id, head in list(material.heads.items()):
        last = max((position for other, position in material.entries if other == origin_id), default=None)
        if last is None or head.since is not None:
            continue
        rows = await connection.fetch(SQL["stamped"], origin_id, last, head.size)
        if rows:
            size = rows[0]["size"]
            material.heads[origin_id] = Head(
                origin_id=origin_id,
                origin=head.origin,
                size=size,
                note=await _with_witnesses(connection, origin_id, size, rows[0]["note"]),
                timestamps=tuple(row["token"] for row in rows if row["size"] == size),
            )


async def add_paths(connection: Connection, material: Material) -> None:
    """The audit path of every event to its origin's checkpoint."""
    for origin_id, head in material.heads.items():
        positions = [position for other, position in material.entries if other == origin_id]
        places = {place for position in positions for place in nodes_of_inclusion(position, head.size)}
        if not places:
            material.paths |= {(origin_id, position): [] for position in positions}
            continue
        node = await load_nodes(connection, origin_id, places)
        for position in positions:
            material.paths[origin_id, position] = inclusion_proof(position, head.size, node)


async def _with_witnesses(connection: Connection, origin_id: int, size: int, note: bytes) -> str:
    lines = await connection.fetch(SQL["cosignatures"], origin_id, size)
    return note.decode() + "".join(f"{line['line']}\n" for line in lines)
