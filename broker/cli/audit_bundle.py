"""`lienthong audit prove` and `audit check`: one document's evidence in a file, and the check that needs nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from broker.cli.output import JsonOption, emit, run, say
from broker.evidence.bundle.check import check
from broker.evidence.bundle.show import Language, as_value, render
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import VerifierKey, parse_verifier_key
from schemas.certificates import load_certificates
from schemas.errors import Refusal
from schemas.problem import NOT_GOOD, Problem

DocumentArgument = Annotated[str, typer.Argument(help="A document id, a digest (64 hex digits), or number/notation.")]
KeyOption = Annotated[
    list[str],
    typer.Option(
        "--key", metavar="VKEY|FILE", help="The log's public key (name+hash+base64), or a file of them. Repeatable."
    ),
]
RootOption = Annotated[
    list[Path] | None,
    typer.Option("--root", metavar="PEM", help="Root certificates to which signers' certificates must lead."),
]
SinceCheckpointOption = Annotated[
    Path | None,
    typer.Option("--since-checkpoint", metavar="FILE", help="An older checkpoint that you hold."),
]
LanguageOption = Annotated[Language | None, typer.Option("--lang", help="Language of the text; by default English.")]


def prove_command(
    document: DocumentArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Where to write the bundle.")],
    sender: Annotated[str | None, typer.Option("--from", metavar="CODE", help="The sender, if need be.")] = None,
    recipient: Annotated[
        str | None, typer.Option("--recipient", metavar="CODE", help="Only the delivery to this recipient.")
    ] = None,
    since_checkpoint: SinceCheckpointOption = None,
) -> None:
    """Write everything that proves what happened to a document into one file, to be checked anywhere."""
    since = since_checkpoint.read_bytes() if since_checkpoint is not None else None
    data = run(_prove(document, sender, recipient, since))
    write_whole(output, data)
    lines = data.count(b"\n")
    say(f"{output}: {len(data):,} bytes, {lines} lines. Check it with `lienthong audit check {output} --key …`.")


def check_command(
    bundle: Annotated[Path, typer.Argument(help="A bundle, or an archive's folder.")],
    key: KeyOption,
    root: RootOption = None,
    since_checkpoint: SinceCheckpointOption = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle with public keys alone: no broker, no database. Exit code 0 only if everything holds."""
    since = since_checkpoint.read_bytes() if since_checkpoint is not None else None
    checked = check(bundle.read_bytes(), keys=read_keys(key), roots=read_roots(root or []), since=since)
    emit(as_value(checked), as_json=as_json, render=lambda _: render(checked, lang or default_language()))
    if not checked.good:
        raise typer.Exit(NOT_GOOD)


def default_language() -> Language:
    """Vietnamese where the terminal's locale says so, else English."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "vi" if locale.startswith("vi") else "en"


def read_keys(texts: list[str]) -> tuple[VerifierKey, ...]:
    """Public keys as a person names them: verifier keys, or files with one a line. Raises Problem."""
    keys: list[VerifierKey] = []
    for text in texts:
        lines = Path(text).read_text().split() if "+" not in text or Path(text).is_file() else [text]
        try:
            keys += (parse_verifier_key(line) for line in lines)
        except EvidenceFault as fault:
            raise Problem(
                f"{text} is no public key of a log: {fault.found}.",
                fault.expected,
                "Ask the exchange for its log's key: it is printed by `lienthong pki init` and kept in log.vkey.",
            ) from fault
    return tuple(keys)


def read_roots(files: list[Path]) -> tuple[x509.Certificate, ...]:
    """Root certificates from PEM or DER files. Raises Problem."""
    try:
        return tuple(one for file in files for one in load_certificates(file.read_bytes()))
    except Refusal as refusal:
        raise Problem(
            f"{', '.join(map(str, files))}: {refusal.found}.", f"{refusal.expected}.", "Name the roots' PEM file."
        ) from refusal


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


async def _prove(document: str, sender: str | None, recipient: str | None, since: bytes | None) -> bytes:
    from broker.evidence.bundle.prove import prove
    from broker.identity import BrokerIdentity
    from broker.settings import load_settings
    from broker.store.pool import connect

    settings = load_settings()
    identity = BrokerIdentity.load(settings)
    async with connect(settings.database_url) as connection:
        return await prove(connection, document, identity=identity, sender=sender, recipient=recipient, since=since)
