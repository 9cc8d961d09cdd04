"""The AMQP names of contract §3, as constants and small pure functions.

Everything that agencies and the broker must call by the same name stands here once. Nothing here talks to a server.
"""

from typing import Final, NamedTuple

from schemas.errors import Refusal

SUBMIT: Final = "lt.submit"
"""Topic exchange: the only place where agencies publish."""
DELIVER: Final = "lt.deliver"
"""Direct exchange from the broker to the mailboxes; routing keys are mailbox owners' codes only."""
INTAKE_URGENT: Final = "lt.intake.urgent"
"""Queue of submitted documents of priority 1 and above."""
INTAKE_NORMAL: Final = "lt.intake.normal"
"""Queue of submitted documents of priority 0."""
STATUS: Final = "lt.status"
"""Queue of submitted statuses and requests."""
DEAD: Final = "lt.dead"
"""Exchange and queue of what could not be processed."""
RETRY_PREFIX: Final = "lt.retry."
"""Prefix of the retry ladder's queues."""
MAILBOX_PREFIX: Final = "agency."
"""Prefix of the mailboxes' queue names."""

LT_ID: Final = "lt-id"
LT_KIND: Final = "lt-kind"
LT_FROM: Final = "lt-from"
LT_DIGEST: Final = "lt-digest"
LT_SUBMITTER: Final = "lt-submitter"
"""Who submitted what the broker republishes for a retry; trusted only under the broker's own user."""
LT_ATTEMPT: Final = "lt-attempt"
"""How often the broker has tried, counted by the broker itself; trusted only under the broker's own user."""

PRIORITY_URGENT: Final = 5
"""AMQP message priority of documents of priority 1 and above."""
PRIORITY_NORMAL: Final = 0
"""AMQP message priority of everything else."""
COPIES_PER_PUBLISH: Final = 500
"""Mailboxes that one publish serves at most (contract §3.1)."""

BIND_URGENT: Final = "document.urgent.#"
BIND_NORMAL: Final = "document.normal.#"
BIND_STATUS: Final = "status.#"
BIND_REQUEST: Final = "request.#"
"""Binding keys on `lt.submit`; `status.#` and `request.#` are both bound to `lt.status`."""

BINDINGS: Final[tuple[tuple[str, str], ...]] = (
    (INTAKE_URGENT, BIND_URGENT),
    (INTAKE_NORMAL, BIND_NORMAL),
    (STATUS, BIND_STATUS),
    (STATUS, BIND_REQUEST),
)
"""(queue, binding key) on `lt.submit`."""

_FORMS: Final = "document.urgent.<code>, document.normal.<code>, status.<code> or request.<code>"


class Key(NamedTuple):
    """A routing key of `lt.submit`, taken apart. `lane` is "urgent" or "normal" for documents, else None."""

    kind: str
    lane: str | None
    code: str


def mailbox(code: str) -> str:
    """The name of the queue from which the agency or hub `code` (canonical) reads."""
    return f"{MAILBOX_PREFIX}{code}"


def document_key(code: str, urgent: bool) -> str:
    """The routing key under which the connected agency or hub `code` submits a document."""
    return f"document.{'urgent' if urgent else 'normal'}.{code}"


def status_key(code: str) -> str:
    """The routing key under which the connected agency or hub `code` submits statuses."""
    return f"status.{code}"


def request_key(code: str) -> str:
    """The routing key under which the connected agency or hub `code` submits requests."""
    return f"request.{code}"


def code_in_key(routing_key: str) -> Key:
    """Take a routing key of `lt.submit` apart; the code keeps its dots and is not checked against a directory.

    Raises Refusal LT-ROUTING-KEY for any other form (contract §3).
    """
    kind, _, rest = routing_key.partition(".")
    if kind in ("status", "request") and rest:
        return Key(kind, None, rest)
    if kind == "document":
        lane, _, code = rest.partition(".")
        if lane in ("urgent", "normal") and code:
            return Key(kind, lane, code)
    raise Refusal(code="LT-ROUTING-KEY", field="routing_key", found=routing_key, expected=_FORMS)
