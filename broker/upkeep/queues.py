"""The mailboxes as they are on the server: which exist, what waits in them, and making those that are missing.

Talks to RabbitMQ's management API through `broker.amqp.management`; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from broker.amqp.management import Management
from broker.directory.records import Agency
from broker.topology.model import HasMailboxTypes, definitions, desired
from schemas.wire import MAILBOX_PREFIX


class Mailboxes(Protocol):
    """What the keeper needs of the server."""

    async def waiting(self) -> Mapping[str, int | None]:
        """Messages in each mailbox that exists, delivered and unacknowledged ones included, by its owner's code.

        None for one that the server has not counted yet: for some seconds after it starts, that is every mailbox.
        """
        ...

    async def make(self, owners: Sequence[Agency]) -> None:
        """Make the mailboxes of these owners, with their bindings; what exists stays as it is."""
        ...


class ServerMailboxes:
    """The mailboxes of one virtual host."""

    def __init__(self, management: Management, settings: HasMailboxTypes) -> None:
        self._management = management
        self._settings = settings

    async def waiting(self) -> Mapping[str, int | None]:
        return {
            queue.name.removeprefix(MAILBOX_PREFIX): queue.messages if queue.counted else None
            for queue in await self._management.queues()
            if queue.name.startswith(MAILBOX_PREFIX)
        }

    async def make(self, owners: Sequence[Agency]) -> None:
        # Exchanges and pipeline queues come along: whatever took the mailboxes may have taken them too.
        await self._management.import_definitions(definitions(desired(owners, self._settings)))
