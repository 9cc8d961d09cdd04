"""What the exchange is told about itself: `lienthong.toml`, then `LIENTHONG_*` in the environment, which wins.

The one place where configuration is read. It decides nothing and opens nothing; a value that cannot be used
becomes a `Problem` that names the setting, what was found and where it came from.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.problem import Problem, said

CONFIG_FILE = Path("lienthong.toml")
SERVICES_FILE = Path(".local/services.json")
MANAGEMENT_PORT = 15672

MailboxType = Literal["quorum", "classic"]

EVERY_LEVEL: Mapping[str, MailboxType] = {
    "ministry": "quorum",
    "province": "quorum",
    "hub": "quorum",
    "department": "classic",
    "district": "classic",
    "commune": "classic",
}
"""A lost classic mailbox costs a redelivery, never a document: the database holds the truth (design §4)."""

Positive = Annotated[int, Field(gt=0)]

RELATED, MISTYPED = 0.6, 0.86
"""Likeness of names (difflib) from which a setting is named as perhaps meant, and from which it surely was."""

PATHS = (
    "home",
    "key_file",
    "certificate_file",
    "roots_dir",
    "content_dir",
    "log_key_file",
    "log_dir",
    "log_timestamp_roots_file",
    "custody_key_file",
    "gateway_tls_certificate_file",
    "gateway_tls_key_file",
    "oidc_client_secret_file",
)
"""Settings that name files; relative ones in a configuration file are relative to that file."""


class Settings(BaseSettings):
    """Everything a broker process needs to know before it opens its first connection."""

    model_config = SettingsConfigDict(env_prefix="LIENTHONG_", extra="forbid", frozen=True)

    amqp_url: str
    """RabbitMQ, as the broker's own user, with the virtual host as the path."""
    management_url: str = ""
    """RabbitMQ's management API with user and password; by default the host of `amqp_url`, port 15672."""
    database_url: str
    """PostgreSQL, with the login of the program that runs; TLS as in PostgreSQL's own addresses (`?sslmode=…`)."""
    agency_amqp_url: str = ""
    """What agencies are told to connect to, without user or password; by default `amqp_url` without them."""

    broker_code: str = "LT.EXCHANGE"
    """The code under which the exchange itself signs notices and slips."""
    home: Path = Path(".local/exchange")
    """Keys, roots and content of this exchange."""
    key_file: Path = Path()
    """The key with which the exchange signs notices and slips: PEM."""
    certificate_file: Path = Path()
    """The certificate of that key: PEM."""
    roots_dir: Path = Path()
    """Folder of `*.pem` files with the roots that agencies' certificates must lead to."""
    content_dir: Path = Path()
    """Folder of content, where `content_url` names no other place."""

    gateway_host: str = "127.0.0.1"
    """Address that the gateway listens on."""
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = 8643
    """TCP port that the gateway listens on; 0 takes a free one."""
    gateway_url: str = ""
    """The gateway's name, which agencies call and which their tokens must have as `aud` (contract §6); all gateways of
    an exchange share it. By default made of host and port."""
    gateway_tls_certificate_file: Path | None = None
    """PEM file with the certificate of the gateway's own TLS; without it something in front of it has to speak TLS."""
    gateway_tls_key_file: Path | None = None
    """PEM file with the key of that certificate."""
    gateway_metrics_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose machines may read the gateway's counts; what comes through a proxy may not, wherever it is."""
    oidc_issuer: str = ""
    """OpenID Connect: the identity provider through which people may sign in to the pages; empty: passwords only."""
    oidc_client_id: str = ""
    """The name under which the provider knows this gateway."""
    oidc_client_secret_file: Path | None = None
    """File whose only line is the secret that the provider gave for it."""
    oidc_title: str = "OpenID Connect"
    """What the provider is called on the sign-in page."""
    content_url: str = ""
    """Where content is kept: empty for the folder `content_dir`, or an address such as s3://bucket/prefix."""
    content_quota_bytes: Positive = 20 * 1024**3
    """Bytes that an agency may have stored and not yet sent, at most."""
    content_largest_bytes: Positive = 16 * 1024**3
    """Bytes of one part over HTTP, at most."""
    content_uploads: Positive = 16
    """Uploads that one gateway takes at a time; each holds a few MiB of memory."""
    content_uploads_each: Positive = 4
    """Of those, for one agency."""
    content_keep_days: Positive = 7
    """Days after which content goes that no accepted document names (contract §6)."""

    batch_count: Positive = 200
    """Messages a worker takes together into one transaction, at most."""
    batch_bytes: Positive = 8 * 1024 * 1024
    """Bytes of messages that a worker takes together, at most."""
    batch_linger_ms: Annotated[int, Field(ge=0)] = 5
    """How long the first message of a batch waits for company, in milliseconds."""
    prefetch: Positive = 400
    """Messages a worker holds unacknowledged for each queue, at most."""
    verify_threads: Positive = 2
    """Threads of a worker that check signatures."""

    custody_key_file: Path = Path()
    """The key under which offices' keys and secrets are sealed (REST façade); never in the database."""
    vxp_fresh_seconds: Positive = 900
    """Seconds that a request of the REST façade may be old by its timestamp; a system may have its own number."""
    vxp_ahead_seconds: Positive = 300
    """Seconds that its timestamp may be ahead of the exchange's clock."""
    vxp_utc_offsets: tuple[Annotated[int, Field(ge=-12, le=14)], ...] = (7, 0)
    """Hours from UTC in which clients' clocks may run: their timestamps are local times without a zone."""
    vxp_trusted_proxies: tuple[str, ...] = ()
    """Addresses (CIDR) of proxies in front of the gateway, whose X-Forwarded-For counts: for the addresses that systems
    may ask from, and for failed sign-ins."""
    vxp_file_bytes: Positive = 136 * 1024 * 1024
    """Bytes of one edXML file, at most."""
    vxp_wait_seconds: Annotated[float, Field(ge=0)] = 8.0
    """Seconds that `sendEdoc` waits to hear what the exchange thinks of a document before it answers that it has it."""
    vxp_lease_minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 10.0
    """Minutes that a packet which was handed out is kept from other pollers; a week at most."""
    vxp_list_limit: Positive = 200
    """Packets in one list, at most."""
    vxp_fail_limit: Positive = 5
    """After so many failures a packet is not handed out until an operator lets it."""

    sent_at_past_days: Positive = 30
    """Days that a message's `sent_at` may lie back; an older one is refused."""
    sent_at_ahead_minutes: Annotated[int, Field(ge=0)] = 5
    """Minutes that it may be ahead of the exchange's clock."""
    arrival_within_urgent_minutes: Positive = 15
    """Minutes after which an urgent document without a recipient's 01 is overdue there."""
    arrival_within_normal_minutes: Positive = 240
    """Minutes after which any other document is."""
    answer_within_hours: Positive = 48
    """Hours that a recipient that has a document may take to answer its recall, update, replacement or take-back."""
    outgoing_grace_seconds: Positive = 10
    """Age in seconds at which the keeper publishes what a worker committed but did not mark as published."""
    log_promise_seconds: Positive = 60
    """`log_by` in slips and notices is so many seconds after the event (contract §9)."""
    log_origin: str = ""
    """The log's name without the year (2026's is `<log_origin>/2026`); by default the broker's code in lower case."""
    log_key_file: Path = Path()
    """Ed25519 key that signs checkpoints; beside it log.vkey, and log.former.key while a rotation lasts."""
    log_dir: Path = Path()
    """Static files of the logs (C2SP tlog-tiles), one folder a year: to be served as they are."""
    log_witnesses: dict[str, str] = Field(default_factory=dict)
    """Witnesses that are asked to cosign checkpoints: address → verifier key (C2SP tlog-witness)."""
    log_timestamp_url: str = ""
    """RFC 3161 authority that is asked for timestamps on checkpoints; empty for none."""
    log_timestamp_minutes: Annotated[float, Field(gt=0)] = 10.0
    """Minutes from one timestamp to the next, at least."""
    log_timestamp_roots_file: Path | None = None
    """PEM file with the roots that the authority's certificate must lead to."""
    max_attempts: Positive = 5
    """Times that a message is tried which a failing server keeps from being processed, at most, and times that a
    document without 01 is sent."""
    redelivery_backoff_minutes: tuple[Positive, ...] = (15, 60, 240, 1440)
    """Minutes until a document without 01 is sent again; the last one repeats."""
    keeper_lease_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Seconds that a keeper which has died keeps its standby waiting."""
    keeper_standby_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two times that a standby asks for the lease."""
    keeper_unfinished_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two rounds in which the keeper publishes what a worker committed and did not get to publish."""
    keeper_mailboxes_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two rounds in which the keeper looks for mailboxes that were lost or are missing."""
    keeper_replay_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds between two rounds in which the keeper hands agencies what they asked to have again."""
    keeper_arrivals_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two rounds in which the keeper sends again what has no 01, and tells what is overdue."""
    keeper_successions_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds between two rounds in which the keeper moves what a closed agency has not taken to its successor."""
    keeper_partitions_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds between two rounds in which the keeper makes the coming months' partitions."""
    keeper_content_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds between two rounds in which the keeper removes content that no accepted document names."""
    keeper_log_seconds: Annotated[float, Field(gt=0)] = 1.0
    """Seconds between two rounds in which the keeper puts new events into the log and signs it."""
    keeper_witness_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Seconds between two rounds in which the keeper asks witnesses and the authority of timestamps."""
    event_months_ahead: Positive = 2
    """Months for which the event table has its partitions made ahead."""
    mailbox_type_by_level: dict[str, MailboxType] = Field(default_factory=lambda: dict(EVERY_LEVEL))
    """Which kind of queue the mailboxes of a level are; levels that are not named keep their kind."""

    @field_validator("amqp_url", "management_url", "agency_amqp_url", "database_url", "gateway_url")
    @classmethod
    def _is_an_address(cls, value: str, info: Any) -> str:
        schemes = {
            "amqp_url": ("amqp", "amqps"),
            "agency_amqp_url": ("amqp", "amqps"),
            "management_url": ("http", "https"),
            "database_url": ("postgresql", "postgres"),
            "gateway_url": ("http", "https"),
        }[info.field_name]
        form = f"not an address of the form {schemes[0]}://user:password@host:port/name"
        parts = urlsplit(value)
        if value and (parts.scheme not in schemes or not parts.hostname):
            raise ValueError(form)
        try:
            _ = parts.port
        except ValueError:
            raise ValueError(form) from None
        return value

    @field_validator("gateway_metrics_from", "vxp_trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(f"{one!r} is not a network such as 10.0.0.0/8") from None
        return value

    @field_validator("mailbox_type_by_level")
    @classmethod
    def _every_level_has_a_type(cls, value: dict[str, MailboxType]) -> dict[str, MailboxType]:
        unknown = sorted(set(value) - set(EVERY_LEVEL))
        if unknown:
            raise ValueError(f"unknown level {unknown[0]!r}; levels are {', '.join(EVERY_LEVEL)}")
        return {**EVERY_LEVEL, **value}

    @field_validator("redelivery_backoff_minutes")
    @classmethod
    def _has_a_first_wait(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value:
            raise ValueError("at least one waiting time is needed")
        return value

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_follows(cls, values: Any) -> Any:
        """Give every path below `home`, and both addresses that follow from `amqp_url`, their value."""
        if not isinstance(values, dict) or not isinstance(values.get("amqp_url"), str):
            return values
        return what_follows(values) | {name: value for name, value in values.items() if value != ""}


def what_follows(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that have their default from others, here from `values`, which has at least `amqp_url`."""
    home = Path(values.get("home") or Settings.model_fields["home"].default)
    return {
        "management_url": management_url_beside(values["amqp_url"]),
        "agency_amqp_url": without_credentials(values["amqp_url"]),
        "key_file": home / "keys" / "broker.key",
        "certificate_file": home / "keys" / "broker.pem",
        "roots_dir": home / "roots",
        "content_dir": home / "content",
        "log_origin": str(values.get("broker_code") or Settings.model_fields["broker_code"].default).lower(),
        "log_key_file": home / "keys" / "log.key",
        "log_dir": home / "log",
        "custody_key_file": home / "keys" / "custody.key",
        "gateway_url": gateway_url_of(values),
    }


def gateway_url_of(values: Mapping[str, Any]) -> str:
    """The gateway's name where none is configured: its own host and port."""
    host = str(values.get("gateway_host") or Settings.model_fields["gateway_host"].default)
    port = values.get("gateway_port", Settings.model_fields["gateway_port"].default)
    scheme = "https" if values.get("gateway_tls_certificate_file") else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def management_url_beside(amqp_url: str) -> str:
    """The management API of the server behind `amqp_url`: same host, user and password, the usual port."""
    parts = urlsplit(amqp_url)
    credentials = parts.netloc.rpartition("@")[0]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else (parts.hostname or "")
    netloc = f"{credentials}@{host}:{MANAGEMENT_PORT}" if credentials else f"{host}:{MANAGEMENT_PORT}"
    return urlunsplit(("https" if parts.scheme == "amqps" else "http", netloc, "", "", ""))


def without_credentials(url: str) -> str:
    """`url` without user and password: fit for a log, a screen, or an agency."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def load_settings(path: Path | None = None) -> Settings:
    """Read the configuration of this exchange.

    `path` names the TOML file; without it `LIENTHONG_CONFIG`, else `lienthong.toml` in the current directory if there
    is one. Addresses set nowhere are those of the servers that `lienthong services up` started here.
    Relative paths in the file are relative to the file. Raises `Problem`.
    """
    chosen = path or (Path(os.environ["LIENTHONG_CONFIG"]) if os.environ.get("LIENTHONG_CONFIG") else None)
    values = _read_toml(chosen or CONFIG_FILE, required=chosen is not None)
    values = _read_endpoints(SERVICES_FILE) | values | _read_environment()
    for name in ("amqp_url", "database_url"):
        if not values.get(name):
            raise Problem(
                f"no {name} is configured and no servers of this checkout are running",
                f"{name} in {CONFIG_FILE}, or LIENTHONG_{name.upper()} in the environment",
                "Start private servers with `lienthong services up`, or name the ones to use.",
            )
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _as_problem(error, chosen or CONFIG_FILE) from None


def _read_environment() -> dict[str, Any]:
    """`LIENTHONG_*` variables that name a setting; tables and lists are written as JSON.

    Programs have other variables of that prefix (`LIENTHONG_CONFIG`); refused is only what is nearly a setting.
    """
    found: dict[str, Any] = {}
    for variable in sorted(os.environ):
        name = variable.removeprefix("LIENTHONG_").lower()
        if variable.startswith("LIENTHONG_") and name not in Settings.model_fields and _nearest(name, MISTYPED):
            raise _unknown(name, "the environment", variable)
    for name in Settings.model_fields:
        text = os.environ.get(f"LIENTHONG_{name.upper()}", "")
        if not text:
            continue
        found[name] = text
        if text[0] in "[{":
            try:
                found[name] = json.loads(text)
            except ValueError as error:
                raise Problem(
                    f"LIENTHONG_{name.upper()} is not JSON: {error}",
                    "a JSON list or object",
                    "Correct it, or unset it.",
                ) from None
    return found


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise Problem(f"{path} does not exist", "a configuration file", "Create it, or name another one.") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Problem(f"{path} cannot be read: {said(error)}", "a TOML file in UTF-8", "Correct the file.") from None
    base = path.resolve().parent
    for name in PATHS:
        if isinstance(values.get(name), str):
            values[name] = str(base / values[name])
    return values


def _read_endpoints(path: Path) -> dict[str, Any]:
    """The addresses that `lienthong services up` left behind; nothing when there are none."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Problem(
            f"{path} cannot be read: {said(error)}", "the file that `lienthong services up` writes", "Run it again."
        ) from None
    endpoints = written.get("endpoints", {}) if isinstance(written, dict) else {}
    found = {name: endpoints[name] for name in ("amqp_url", "management_url", "database_url") if endpoints.get(name)}
    if os.environ.get("LIENTHONG_AMQP_URL"):
        found.pop("management_url", None)
    return found


def _as_problem(error: ValidationError, path: Path) -> Problem:
    """Name the first setting at fault. The value is shown only where it cannot hold a password."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    where = f"LIENTHONG_{name.upper()}" if os.environ.get(f"LIENTHONG_{name.upper()}") else str(path)
    if first["type"] == "extra_forbidden":
        return _unknown(name, str(path), name)
    shown = "" if name.endswith("_url") else f" {first['input']!r}"
    return Problem(f"{name}{shown} in {where}", _wanted(first["msg"]), "Correct this setting.")


def _wanted(message: str) -> str:
    """What a validator says of a value, as what was expected."""
    told = message.removeprefix("Value error, ")
    if told.startswith("Input should be "):
        told = told.removeprefix("Input should be ").partition(", unable to")[0]
        return told if told.startswith(("a ", "an ", "'")) else f"a value {told}"
    return told.partition(" is not ")[2] or told.removeprefix("not ")


def _unknown(name: str, where: str, written: str) -> Problem:
    """A setting that does not exist, with the nearest one that does."""
    near = _nearest(name, RELATED)
    meant = (f"LIENTHONG_{near.upper()}" if written != name else near) if near else None
    return Problem(
        f"{where} has an unknown setting {written!r}",
        f"a setting of this version, such as {meant}" if meant else "a setting of this version",
        "Check its spelling; docs/reference/settings.md has all of them.",
    )


def _nearest(name: str, likeness: float) -> str | None:
    """The setting whose name is most like `name`, if one is at least so much like it (0 to 1)."""
    return next(iter(get_close_matches(name, Settings.model_fields, n=1, cutoff=likeness)), None)
