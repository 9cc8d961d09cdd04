"""What an agency's program must know to take part: `agency.toml`, read once and checked at the door.

May not open connections or databases. Secrets are never in the file itself: the password of the AMQP user and the
password of a key come from files or from the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from schemas.agency_codes import canonical_code
from schemas.errors import Refusal
from schemas.problem import Problem

PASSWORD_VARIABLE = "LIENTHONG_AGENCY_AMQP_PASSWORD"  # noqa: S105 - the name of a variable, not a secret
KEY_PASSWORD_VARIABLE = "LIENTHONG_AGENCY_KEY_PASSWORD"  # noqa: S105 - the name of a variable, not a secret
DEFAULT_BROKER_CODE = "LT.EXCHANGE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """An agency without a connection of its own that this hub speaks for."""

    code: str
    # Its own key and certificate, if the hub keeps them; otherwise the hub signs with its own under its mandate.
    key_file: Path | None = None
    certificate_file: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgencySettings:
    """The content of `agency.toml`; paths are absolute."""

    # The agency's canonical code, and the AMQP user: the same code, or the hub's through which it is connected.
    code: str
    submitter: str
    # Without user and password: those are `submitter` and the content of the password file.
    amqp_url: str
    amqp_password_file: Path | None
    # The signing key (PEM) and its certificate (PEM or DER).
    key_file: Path
    certificate_file: Path
    # Trusted roots, and intermediates between them and the agencies' certificates: one file or a folder of *.pem.
    roots: Path
    broker_code: str = DEFAULT_BROKER_CODE
    # The exchange's certificates; two of them while one is replaced by the next.
    broker_certificate_file: Path
    # The log's verifier keys, one a line: what `lienthong audit check` needs to check a proof without the exchange.
    log_vkey_file: Path | None = None
    # The content store: the gateway's address, which is also its name …
    content_url: str | None = None
    # … with a further root for its TLS, where the system's do not know it; …
    content_ca_file: Path | None = None
    # … or the folder that this agency and the exchange share on one machine. The address goes first.
    content_dir: Path | None = None
    # Inbox, outbox and parts live here.
    data_dir: Path
    served: tuple[Served, ...] = ()
    # A document without an answer is sent again after this many seconds, then after twice as long, up to an hour.
    resend_after_seconds: float = 60.0
    # A document whose block raised is handed over again after this many seconds, then after twice as long.
    again_after_seconds: float = 5.0
    # Recipients whose system is a mailbox ([[mail.office]]): their 01 goes out when its mail server has the document.
    arrive_later: frozenset[str] = frozenset()

    @property
    def codes(self) -> frozenset[str]:
        """Every code for which this program may speak."""
        return frozenset({self.code, *(one.code for one in self.served)})

    @property
    def has_mailbox(self) -> bool:
        """A served agency that only borrows its hub's user reads nothing: the mailbox is the hub's."""
        return self.submitter == self.code

    def amqp_password(self) -> str:
        """The AMQP user's password, from the environment or its file. Raises Problem if there is neither."""
        from_environment = os.environ.get(PASSWORD_VARIABLE)
        if from_environment:
            return from_environment
        if self.amqp_password_file is None:
            raise Problem(
                found="no password for the AMQP user",
                expected=f"amqp_password_file in agency.toml, or the variable {PASSWORD_VARIABLE}",
                remedy="Write the password into a file readable by this user only and name it in agency.toml.",
            )
        return read_file(self.amqp_password_file, what="the AMQP password").decode("utf-8").strip()


def read_file(path: Path, *, what: str) -> bytes:
    """The file's bytes. Raises Problem that names the file and its purpose."""
    try:
        return path.read_bytes()
    except OSError as why:
        raise Problem(
            found=f"{path}: {why.strerror or why}",
            expected=f"a readable file with {what}",
            remedy="Put the file there, or correct its path in agency.toml.",
        ) from why


def load(path: Path) -> AgencySettings:
    """Read `agency.toml`; relative paths count from its folder. Raises Problem that names the field."""
    return from_table(read_table(path), folder=path.resolve().parent, what=str(path))


def read_table(path: Path) -> Mapping[str, Any]:
    """`agency.toml` as it stands, with the tables of adapters that have their own settings in it. Raises Problem."""
    raw = read_file(path, what="the agency's settings")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as why:
        raise Problem(
            found=f"{path}: {why}", expected="a TOML file", remedy="Correct the file or make it anew with `init`."
        ) from why


def from_table(table: Mapping[str, Any], *, folder: Path, what: str) -> AgencySettings:
    """Settings from a table as in `agency.toml` (also used for simulated offices). Raises Problem."""
    reader = Reader(table, folder=folder, what=what)
    code = reader.code("code")
    served = tuple(
        Served(
            code=row.code("code"),
            key_file=row.optional_path("key_file"),
            certificate_file=row.optional_path("certificate_file"),
        )
        for row in reader.rows("served")
    )
    return AgencySettings(
        code=code,
        submitter=reader.code("submitter", default=code),
        amqp_url=reader.text("amqp_url"),
        amqp_password_file=reader.optional_path("amqp_password_file"),
        key_file=reader.path("key_file"),
        certificate_file=reader.path("certificate_file"),
        roots=reader.optional_path("roots_dir") or reader.path("root_file"),
        broker_code=reader.code("broker_code", default=DEFAULT_BROKER_CODE),
        broker_certificate_file=reader.path("broker_certificate_file"),
        log_vkey_file=reader.optional_path("log_vkey_file"),
        content_url=reader.optional_url("content_url"),
        content_ca_file=reader.optional_path("content_ca_file"),
        content_dir=reader.optional_path("content_dir"),
        data_dir=reader.path("data_dir"),
        served=served,
        resend_after_seconds=reader.number("resend_after_seconds", default=60.0),
        again_after_seconds=reader.number("again_after_seconds", default=5.0),
        arrive_later=frozenset(row.code("code") for row in reader.table("mail").rows("office")),
    )


class Reader:
    """Takes typed values out of a TOML table and says which field is wrong; adapters read their own tables with it."""

    def __init__(self, table: Mapping[str, Any], *, folder: Path, what: str, name: str = "", row: int = 0) -> None:
        """`name` is the table's own in the file, such as `mail.incoming`, empty for the whole file; `row` counts from 1
        where there are several of it."""
        self._table = table
        self._folder = folder
        self._what = what
        self._name = name
        self._shown = f"[[{name}]] number {row}" if row else f"[{name}]"
        self._asked: set[str] = set()

    def problem(self, field: str, found: str, expected: str) -> Problem:
        """What to raise about a field."""
        remedy = f"Set {field} in {self._what}; `lienthong-agency init` writes a complete file."
        if self._name:
            remedy = f"Correct {field} in {self._shown}; docs/connect has a page with all of them."
        place = f"{self._what}, {self._shown}" if self._name else self._what
        return Problem(found=f"{place}: {field} is {found}", expected=expected, remedy=remedy)

    def nothing_else(self) -> None:
        """Raise Problem if the table has a field that nobody has asked for: a mistyped name would have no effect."""
        for field in sorted(self._table.keys() - self._asked):
            near = get_close_matches(field, self._asked, n=1)
            names = f"such as {near[0]}" if near else f"one of {', '.join(sorted(self._asked))}"
            raise self.problem(field, "unknown", f"a field of this table, {names}")

    def _get(self, field: str, default: Any = None) -> Any:
        self._asked.add(field)
        return self._table.get(field, default)

    def text(self, field: str, default: str | None = None) -> str:
        value = self._get(field, default)
        if not isinstance(value, str) or not value:
            raise self.problem(field, "missing" if value is None else repr(value), "a text")
        return value

    def optional_text(self, field: str) -> str | None:
        return self.text(field) if self._get(field) is not None else None

    def one_of(self, field: str, words: Sequence[str], default: str) -> str:
        value = self.text(field, default)
        if value not in words:
            raise self.problem(field, repr(value), f"one of {', '.join(words)}")
        return value

    def texts(self, field: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        value = self._get(field, list(default))
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.problem(field, repr(value), "a list of texts")
        return tuple(value)

    def code(self, field: str, default: str | None = None) -> str:
        value = self.text(field, default)
        try:
            return canonical_code(value)
        except Refusal as why:
            raise self.problem(field, repr(value), "an agency code such as H53.31.20") from why

    def path(self, field: str) -> Path:
        return (self._folder / Path(self.text(field)).expanduser()).absolute()

    def optional_path(self, field: str) -> Path | None:
        return self.path(field) if self._get(field) is not None else None

    def optional_url(self, field: str) -> str | None:
        if self._get(field) is None:
            return None
        value = self.text(field)
        if not value.startswith(("https://", "http://")):
            raise self.problem(field, repr(value), "an address that begins with https:// (or http://)")
        return value

    def number(self, field: str, default: float) -> float:
        value = self._get(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise self.problem(field, repr(value), "a number of seconds above 0")
        return float(value)

    def count(self, field: str, default: int, *, most: int = 1_000_000) -> int:
        value = self._get(field, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self.problem(field, repr(value), f"a whole number from 1 to {most}")
        return value

    def port(self, field: str, default: int) -> int:
        return self.count(field, default, most=65535)

    def table(self, field: str) -> Reader:
        value = self._get(field, {})
        if not isinstance(value, dict):
            raise self.problem(field, repr(value), f"a table [{field}]")
        return Reader(value, folder=self._folder, what=self._what, name=self._below(field))

    def rows(self, field: str) -> tuple[Reader, ...]:
        value = self._get(field, [])
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.problem(field, repr(value), f"a list of tables [[{field}]]")
        return tuple(
            Reader(row, folder=self._folder, what=self._what, name=self._below(field), row=position)
            for position, row in enumerate(value, start=1)
        )

    def _below(self, field: str) -> str:
        return f"{self._name}.{field}" if self._name else field
