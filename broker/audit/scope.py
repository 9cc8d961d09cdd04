"""Whose view an answer is: everything, or what a subtree of the directory may see.

The auditor of a subtree sees the documents that an agency of the subtree sent or was to receive; of their deliveries
those to the subtree, or all of them where the sender belongs to it; and nothing else, in any answer. The filter is
part of every statement: no function reads more than it may show. The subtree is that of today's directory, closed
agencies included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broker.audit.conditions import View
from broker.audit.lookup import subtree
from broker.store.pool import Connection

if TYPE_CHECKING:
    from broker.directory.records import AgencyId  # with it come certificates, which nothing here needs


@dataclass(frozen=True, slots=True)
class Scope:
    """What the asking person may see."""

    root: AgencyId | None
    """The agency at the top of the subtree; None for everything."""


EVERYTHING: Final = Scope(root=None)
"""The view of an operator or of an auditor of the whole exchange."""


async def visible(connection: Connection, scope: Scope) -> list[int] | None:
    """The agencies of the scope, as every statement takes them; None for everything."""
    return None if scope.root is None else await subtree(connection, scope.root)


async def view_of(connection: Connection, scope: Scope) -> View:
    """The scope as conditions need it."""
    if scope.root is None:
        return View()
    return View(root=scope.root, inside=frozenset(await subtree(connection, scope.root)))
