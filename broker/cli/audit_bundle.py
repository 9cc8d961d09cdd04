"""`lienthong audit prove`, `audit export` and `audit check`: evidence in a file or a folder, and its check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cryptography import x509

from broker.audit.words import Words
from broker.cli.audit_options import span
from broker.cli.output import JsonOption, emit, progress, run, say
from broker.evidence.bundle.archive_check import check_archive
from broker.evidence.bundle.check import check
from broker.evidence.bundle.lines import MAX_BYTES
from broker.evidence.bundle.show import archive_line, archive_value, as_value, render, stamp_line
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import VerifierKey, parse_verifier_key
from schemas.certificates import load_certificates
from schemas.command_line import LanguageOption, terminal_language
from schemas.errors import Refusal
from schemas.languages import Language
from schemas.problem import NOT_GOOD, USAGE, Problem

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
CHECKING_PARTS: Final = Words("checking parts", "đang kiểm tra các phần")
EXPORTING: Final = Words("exporting documents", "đang xuất văn bản")


def prove_command(
    document: DocumentArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Where to write the bundle.")],
    sender: Annotated[str | None, typer.Option("--from", metavar="CODE", help="The sender, if need be.")] = None,
    recipient: Annotated[
        str | None, typer.Option("--recipient", metavar="CODE", help="Only the delivery to this recipient.")
    ] = None,
    since_checkpoint: SinceCheckpointOption = None,
    lang: LanguageOption = None,
) -> None:
    """Write everything that proves what happened to a document into one file, to be checked anywhere."""
    from broker.evidence.bundle.archive import write_whole

    since = since_checkpoint.read_bytes() if since_checkpoint is not None else None
    if not output.parent.is_dir():
        raise Problem(
            f"there is no folder {output.parent}.", "a folder that exists.", "Make it, or name another with -o."
        )
    data = run(_prove(document, sender, recipient, since))
    write_whole(output, data)
    lines = data.count(b"\n")
    told = Words(
        f"{output}: {len(data):,} bytes, {lines} lines. Check it with `lienthong audit check {output} --key …`.",
        f"{output}: {len(data):,} byte, {lines} dòng. Kiểm tra bằng `lienthong audit check {output} --key …`.",
    )
    say(told.told(lang or terminal_language()))


def check_command(
    bundle: Annotated[Path, typer.Argument(help="A bundle, or the folder of an archive.")],
    key: KeyOption,
    root: RootOption = None,
    since_checkpoint: SinceCheckpointOption = None,
    tsa_root: Annotated[
        list[Path] | None,
        typer.Option("--tsa-root", metavar="PEM", help="Roots of timestamp authorities: check enclosed timestamps."),
    ] = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle or an archive with public keys alone: no broker, no database. Exit code 0 if everything holds."""
    keys, roots, language = read_keys(key), read_roots(root or []), lang or terminal_language()
    if bundle.is_dir():
        if since_checkpoint is not None or tsa_root:
            raise Problem(
                f"{bundle} is an archive, and --since-checkpoint or --tsa-root was given.",
                "a single bundle with these options: an archive proves nothing from your checkpoint on.",
                "Leave them out, or ask for a document's own bundle (`lienthong audit prove --since-checkpoint`).",
                exit_code=USAGE,
            )
        total = sum(1 for _ in (bundle / "parts").glob("*.bundle"))
        with progress(CHECKING_PARTS.told(language), total=total, language=language) as advance:
            found = check_archive(bundle, keys=keys, roots=roots, advance=advance)
        emit(archive_value(found), as_json=as_json, render=lambda _: archive_line(found, language))
        good = found.good
    else:
        since = since_checkpoint.read_bytes() if since_checkpoint is not None else None
        if bundle.exists() and not (bundle.is_file() and bundle.stat().st_size <= MAX_BYTES):
            raise Problem(
                f"{bundle} is no file, or one of more than {MAX_BYTES:,} bytes.",
                "a bundle that fits into memory.",
                "Ask for bundles of single documents (`lienthong audit prove`).",
            )
        checked = check(bundle.read_bytes(), keys=keys, roots=roots, since=since)
        value: dict[str, Any] = {}
        if tsa_root and checked.good:
            from broker.evidence.bundle.stamps import stamps_of

            stamped, faults = stamps_of(checked, read_roots(tsa_root))
            checked = replace(checked, faults=tuple(faults))
            value = {"timestamps": stamped}
            for one in stamped:
                say(stamp_line(one.origin, one.size, one.at, language))
        emit(as_value(checked) | value, as_json=as_json, render=lambda _: render(checked, language))
        good = checked.good
    if not good:
        raise typer.Exit(NOT_GOOD)


def export_command(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder for the archive.")],
    since: Annotated[str, typer.Option("--since", metavar="DATE", help="From this day or time, included.")],
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Up to this day, included, or to this time.")],
    subtree: Annotated[
        str | None, typer.Option("--subtree", metavar="CODE", help="Only what this agency and those below it may see.")
    ] = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the documents of a period, with their proofs, into a folder that can be checked anywhere.

    Run it again with the same options after an interruption: it goes on where it was.
    """
    from broker.evidence.bundle.archive import Wanted

    # No time ago: whoever goes on after an interruption has to mean the same period.
    begin, end = span(since, until, ago=False)
    assert begin is not None and end is not None
    language = lang or terminal_language()
    exported = run(_export(output, Wanted(since=begin, until=end, subtree=subtree), language))
    told = Words(
        f"{output}: {exported.documents} documents in {exported.parts} parts. "
        f"Check it with `lienthong audit check {output} --key …`.",
        f"{output}: {exported.documents} văn bản trong {exported.parts} phần. "
        f"Kiểm tra bằng `lienthong audit check {output} --key …`.",
    )
    emit(exported, as_json=as_json, render=lambda _: told.told(language))


def read_keys(texts: list[str]) -> tuple[VerifierKey, ...]:
    """Public keys as a person names them: verifier keys, or files with one a line. Raises Problem."""
    keys: list[VerifierKey] = []
    for text in texts:
        given = Path(text)
        if "+" not in text and not given.is_file():
            raise Problem(
                f"--key {text} is neither a verifier key nor a file.",
                "name+hash+base64, or a file with such lines.",
                "Ask the exchange for its log's key: it is printed by `lienthong pki init` and kept in log.vkey.",
            )
        lines = given.read_text().split() if given.is_file() else [text]
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


async def _export(folder: Path, wanted: Any, language: Language) -> Any:
    from broker.evidence.bundle.archive import Archiving
    from broker.identity import BrokerIdentity
    from broker.settings import load_settings
    from broker.store.pool import connect

    settings = load_settings()
    identity = BrokerIdentity.load(settings)
    async with connect(settings.database_url) as connection:
        archiving = await Archiving.opened(connection, folder, wanted, identity)
        with progress(EXPORTING.told(language), total=await archiving.count(connection), language=language) as advance:
            return await archiving.run(connection, advance)


async def _prove(document: str, sender: str | None, recipient: str | None, since: bytes | None) -> bytes:
    from broker.evidence.bundle.prove import prove
    from broker.identity import BrokerIdentity
    from broker.settings import load_settings
    from broker.store.pool import connect

    settings = load_settings()
    identity = BrokerIdentity.load(settings)
    async with connect(settings.database_url) as connection:
        return await prove(connection, document, identity=identity, sender=sender, recipient=recipient, since=since)
