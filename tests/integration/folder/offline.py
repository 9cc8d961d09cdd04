"""An office without any server: keys, certificates, a database with a document that came, and a folder to watch."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from adapters import Agency
from adapters.agency import DATABASE
from adapters.folder.places import Places, opened
from adapters.folder.watch import Habits, Happened, Watch
from adapters.identity import Signer
from adapters.inbox import take_in
from adapters.incoming import Incoming, Office
from adapters.judge import Trust, judge
from adapters.settings import AgencySettings
from adapters.store import open_database
from schemas.jws import sign
from schemas.times import new_id, rfc3339
from tests.conftest import Vhost
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn

AT_ONCE = Habits(settle=0.0, every=0.02, missing_after=0.1)
NOBODY = Vhost(name="", amqp_url="amqp://127.0.0.1:1/", management_url="")


def prepared(folder: Path, *, parts: Mapping[str, bytes] | None = None) -> AgencySettings:
    """The province's settings, with one document in its inbox that nobody has taken yet."""
    standin = StandIn(vhost=NOBODY, folder=folder / "papers")
    for code in (MINISTRY, PROVINCE):
        standin.enrol(code).write(folder / "papers" / code)
    (folder / "papers" / PROVINCE / "password").write_text("none")
    settings = settings_below(folder)
    if parts is not None:
        came(standin, settings, parts)
    return settings


def settings_below(folder: Path) -> AgencySettings:
    """The settings that fit the files below `folder`, also those of a copy."""
    place = folder / "papers" / PROVINCE
    return AgencySettings(
        code=PROVINCE,
        submitter=PROVINCE,
        amqp_url=NOBODY.amqp_url,
        amqp_password_file=place / "password",
        key_file=place / "key.pem",
        certificate_file=place / "certificate.pem",
        roots=folder / "papers" / "roots",
        broker_certificate_file=folder / "papers" / "broker.pem",
        content_dir=folder / "content",
        data_dir=folder / "data",
        again_after_seconds=0.01,
    )


def came(standin: StandIn, settings: AgencySettings, parts: Mapping[str, bytes]) -> str:
    """Put a document of the ministry into the inbox; its id."""
    now, identity = datetime.now(UTC), standin.identities[MINISTRY]
    manifest = {
        "spec": "lienthong/1",
        "kind": "document",
        "id": str(new_id(now)),
        "from": MINISTRY,
        "sent_at": rfc3339(now),
        "action": "new",
        "to": [PROVINCE],
        "document": {
            "number": str(secrets.randbelow(10**6)), "notation": "TB", "issued_on": "2026-03-12", "subject": "Công văn",
        },
        "parts": [
            {
                "name": name, "media_type": "application/pdf", "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(), "role": "document",
            }
            for name, data in parts.items()
        ],
    }  # fmt: skip
    signed = sign(json.dumps(manifest).encode(), key=identity.key, thumbprint=identity.mark)
    content = {hashlib.sha256(data).hexdigest(): data for data in parts.values()}
    trust = Trust(
        broker_code="LT.EXCHANGE",
        broker_certificates=[standin.broker.certificate],
        authorities=[standin.authority.root],
    )
    own = standin.identities[PROVINCE]
    connection = open_database(settings.data_dir / DATABASE)
    connection.execute("BEGIN")
    office = Office(
        code=PROVINCE,
        codes=frozenset({PROVINCE}),
        signer=Signer(code=PROVINCE, key=own.key, thumbprint=own.mark),
        now=now,
    )
    body = standin.wrapped(signed, content=content)
    done = take_in(connection, [Incoming(body=body, message_id="m", judged=judge(body, trust))], office)
    connection.execute("COMMIT")
    connection.close()
    assert done.stored
    return str(manifest["id"])


def work(
    settings: AgencySettings, root: Path, *, habits: Habits = AT_ONCE, before: Callable[[], None] = lambda: None
) -> list[Happened]:
    """Send and lay down everything there is, without any connection; what was told."""
    told: list[Happened] = []

    async def run() -> None:
        with opened(root, settings.data_dir) as places:
            async with Agency.open(settings) as agency:
                watch = Watch(agency, places, habits, told.append)
                before()
                await watch.send(idle=0.0)
                await watch.lay_down(idle=0.25)

    asyncio.run(run())
    return told


def outbox(settings: AgencySettings, kind: str = "document") -> list[str]:
    """The ids of what is to be sent."""
    connection = open_database(settings.data_dir / DATABASE)
    found = [id for (id,) in connection.execute("SELECT id FROM outbox WHERE kind = ? ORDER BY no", (kind,))]
    connection.close()
    return found


def places(root: Path) -> Places:
    """The folders, made."""
    made = Places(root=root)
    for folder in made.all:
        folder.mkdir(parents=True, exist_ok=True)
    return made
