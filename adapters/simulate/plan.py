"""The plan that `lienthong-agency simulate PLAN.json` follows, and the lines that it prints.

```json
{
  "seed": 7,
  "quiet_seconds": 3,
  "agency": {"amqp_url": "amqp://127.0.0.1:5672/", "root_file": "root.pem", "broker_code": "LT.EXCHANGE",
             "broker_certificate_file": "broker.pem", "content_dir": "content"},
  "data_dir": "offices",
  "answers": {"refuse": 0.02, "processing": 0.6, "completed": 0.3, "clerk_seconds": [0.1, 1.0]},
  "offices": [
    {"code": "G22", "amqp_password_file": "G22/password", "key_file": "G22/key.pem",
     "certificate_file": "G22/certificate.pem",
     "served": [{"code": "H53.31", "key_file": "…", "certificate_file": "…"}]}
  ],
  "submissions": [
    {"at": 0.5, "from": "H53.31", "via": "H53.W00", "to": ["G22", "group:provinces"], "priority": 3,
     "number": "12", "notation": "UBND", "subject": "…", "type": "Công văn", "pdf": "12.pdf",
     "id": "0198…", "variant": "twice"}
  ]
}
```

* Paths count from the plan's folder. `agency` holds what all offices have in common; an office may hold every field of
  `agency.toml`; its `data_dir` is by default `data_dir/<code>`.
* `answers`: every document is answered 01 by itself; then refused (02, with a reason) with probability `refuse`, else
  received (03), then with the given probabilities 05, and after it 06. An office takes a time between `clerk_seconds`
  for each step; a hub answers for all its agencies at once.
* `submissions`: `at` in seconds after `ready`; `via` is the office that submits (by default `from`); `pdf` a file, or
  `size` a number of bytes to be made up. `variant`: `twice` (the same bytes are sent again after the confirm),
  `altered` (the subject is changed after signing), `wrong-signer` (the key of `signer`, by default of another office),
  and `unknown-recipient` (nothing special here: `to` holds a code that does not exist). A submission whose id is
  already in the outbox is not made again, so an interrupted run may be started again with the same plan.
* `quiet_seconds`: when everything is submitted and nothing has happened for so long, the run ends (as it does on
  SIGTERM and SIGINT) with the inventory. Without it the run goes on until it is told to end.

Every line of output is one JSON object with `event`, `at` (wall clock, UTC, microseconds) and `office`:

| event | further members |
|---|---|
| `ready` | `offices`: all are connected, the clock of the plan starts (no `office`) |
| `submitted` | `from`, `id`, `digest`, `to`, `variant`; `resumed` if it was in the outbox already |
| `accepted` | `from`, `id`, `digest`, `count` of recipients |
| `rejected` | `from`, `id`, `digest`, `code`, `field`, `found`, `expected` |
| `stored` | `from`, `id`, `digest`, `recipient`: durable, with its signed 01 in the same transaction |
| `again` | `from`, `id`, `digest`: came again, stored once, answered again |
| `answered` | `from`, `id`, `digest`, `recipient`, `code` (02, 03, 05, 06), `reason`: signed and on its way |
| `status` | `from`, `id`, `digest`, `agency`, `code`: the sender has read a recipient's status |
| `notice` | `notice` (rerouted, overdue, …), `concerns`, `code` |
| `error` | `text` |
| `inventory` | `inbox`, `outbox`, `unsent`, `aside`: see below |
| `finished` | `seconds`, `why` (no `office`) |

The inventory is read from each office's database after everything has stopped: `inbox` has one row for each (`from`,
`id`, `recipient`) with `digest`, `state` and `copies` (how often it came); `outbox` the documents sent, with `from`,
`id`, `digest`, `state` (due, sent, accepted, rejected) and `code`; `unsent` is the number of messages without a
confirm, `aside` the messages kept aside, by code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from adapters.settings import AgencySettings, from_table, read_file
from schemas.problem import Problem


class Variant(StrEnum):
    """What is wrong, or special, about a submission."""

    GOOD = "good"
    TWICE = "twice"
    ALTERED = "altered"
    WRONG_SIGNER = "wrong-signer"
    UNKNOWN_RECIPIENT = "unknown-recipient"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """How offices answer; probabilities, and the seconds between which a step of a clerk takes."""

    refuse: float = 0.02
    processing: float = 0.6
    completed: float = 0.3
    clerk_seconds: tuple[float, float] = (0.1, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One document to be sent."""

    at: float
    sender: str
    via: str
    to: tuple[str, ...]
    priority: int
    number: str
    notation: str
    subject: str
    type: str
    pdf: Path | None
    size: int
    id: str | None
    variant: Variant
    signer: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the simulation does."""

    seed: int
    quiet_seconds: float | None
    answers: Answers
    offices: tuple[AgencySettings, ...]
    submissions: tuple[Submission, ...]


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises Problem that names what is wrong with it."""
    try:
        table = json.loads(read_file(path, what="the plan"))
        return _plan(table, path.resolve().parent)
    except (ValueError, KeyError, TypeError) as why:
        detail = f"no {why}" if isinstance(why, KeyError) else str(why)
        raise Problem(
            found=f"{path}: {detail}",
            expected="a plan as `lienthong-agency simulate --help` describes it",
            remedy="Correct the plan.",
        ) from why


def _plan(table: Mapping[str, Any], folder: Path) -> Plan:
    common = table.get("agency", {})
    data_dir = folder / table.get("data_dir", "offices")
    offices = tuple(
        from_table(
            {"data_dir": str(data_dir / office["code"]), **common, **office},
            folder=folder,
            what=f"the plan's office {office['code']}",
        )
        for office in table["offices"]
    )
    known = {office.code for office in offices}
    submissions = tuple(_submission(one, folder) for one in table.get("submissions", ()))
    for one in submissions:
        if one.via not in known:
            raise ValueError(f"a submission through {one.via}, which is none of the offices")
    quiet = table.get("quiet_seconds")
    return Plan(
        seed=int(table.get("seed", 0)),
        quiet_seconds=None if quiet is None else float(quiet),
        answers=_answers(table.get("answers", {})),
        offices=offices,
        submissions=tuple(sorted(submissions, key=lambda one: one.at)),
    )


def _answers(table: Mapping[str, Any]) -> Answers:
    default = Answers()
    shortest, longest = table.get("clerk_seconds", default.clerk_seconds)
    return Answers(
        refuse=float(table.get("refuse", default.refuse)),
        processing=float(table.get("processing", default.processing)),
        completed=float(table.get("completed", default.completed)),
        clerk_seconds=(float(shortest), float(longest)),
    )


def _submission(table: Mapping[str, Any], folder: Path) -> Submission:
    return Submission(
        at=float(table.get("at", 0.0)),
        sender=table["from"],
        via=table.get("via") or table["from"],
        to=tuple(table["to"]),
        priority=int(table.get("priority", 0)),
        number=str(table.get("number", "1")),
        notation=str(table.get("notation", "MP")),
        subject=str(table.get("subject", "Văn bản mô phỏng")),
        type=str(table.get("type", "Công văn")),
        pdf=folder / table["pdf"] if table.get("pdf") else None,
        size=int(table.get("size", 2_000)),
        id=table.get("id"),
        variant=Variant(table.get("variant") or "good"),
        signer=table.get("signer"),
    )
