"""A bundle with any one byte changed is refused with the reason, by our checker and by the one for auditors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.material import Material
from broker.evidence.notes import VerifierKey, parse_verifier_key, verifier_key
from broker.identity import BrokerIdentity
from schemas.canonical import canonical_json
from tests.kit.evidence_story import EXCHANGE, LOG, Told, short_story, story
from tests.unit.bundle.checkers import Answer, ours, theirs

FORM = "shape"
"""Checkers may look more or less deeply into the payload of a message that is broken anyway."""


def both(data: bytes, told: Told, keys: tuple[VerifierKey, ...] | None = None) -> tuple[Answer, Answer]:
    roots = [told.paper.root()]
    trusted = keys or told.paper.keys()
    return ours(data, trusted, roots), theirs(data, trusted, roots)


def refused(data: bytes, told: Told) -> Answer:
    """The reason and place that both checkers give."""
    mine, other = both(data, told)
    assert mine is not None, "ours takes it"
    assert other is not None, "the other one takes it"
    if mine != other:
        assert FORM in (mine[0], other[0]), (mine, other)
    return mine


def flipped(data: bytes, at: int, bits: int = 1) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def structural(data: bytes) -> Iterator[int]:
    """Every byte that gives the lines their form, outside of long texts."""
    for start, line in _lines(data):
        for at in [*range(min(40, len(line))), *range(max(0, len(line) - 40), len(line))]:
            yield start + at


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    for line in data.splitlines(keepends=True):
        yield start, line
        start += len(line)


def test_a_good_bundle_is_good_for_both(told: Told, bundle: bytes) -> None:
    assert both(bundle, told) == (None, None)


def test_every_seventh_byte_changed_is_refused() -> None:
    told = short_story()
    bundle = told.paper.bundle(told.letter, since=told.first_note, since_size=told.first_size)
    keys = told.paper.keys()
    assert ours(bundle, keys) is None
    taken = [at for at in range(0, len(bundle), 7) if ours(flipped(bundle, at, 1 << at % 8), keys) is None]
    assert taken == []


def test_both_checkers_name_the_same_place(told: Told, bundle: bytes) -> None:
    for at in range(3, len(bundle), 211):
        refused(flipped(bundle, at, 1 << at % 7), told)


@pytest.mark.long
def test_every_byte_changed_is_refused_by_both() -> None:
    told = short_story()
    bundle = told.paper.bundle(told.letter, since=told.first_note, since_size=told.first_size)
    for at in range(len(bundle)):
        refused(flipped(bundle, at, 1 << at % 8), told)


@pytest.mark.long
def test_every_byte_of_a_long_story_changed_in_every_bit_is_refused(told: Told, bundle: bytes) -> None:
    keys = told.paper.keys()
    for at in range(len(bundle)):
        for bit in range(8):
            assert ours(flipped(bundle, at, 1 << bit), keys) is not None, (at, bit)


@pytest.mark.long
def test_every_structural_byte_replaced_is_refused(told: Told, bundle: bytes) -> None:
    for at in structural(bundle):
        for byte in b'\n {}[]",:\\\x00\xff0aA':
            if bundle[at] != byte:
                refused(bundle[:at] + bytes([byte]) + bundle[at + 1 :], told)


def test_every_line_removed_is_refused(told: Told, bundle: bytes) -> None:
    lines = bundle.splitlines(keepends=True)
    for at in range(len(lines)):
        assert refused(b"".join(lines[:at] + lines[at + 1 :]), told) is not None, lines[at][:80]


def test_every_line_twice_is_refused_as_disorder(told: Told, bundle: bytes) -> None:
    lines = bundle.splitlines(keepends=True)
    for at in range(len(lines)):
        assert refused(b"".join([*lines[: at + 1], *lines[at:]]), told) == ("order", at + 2)


def test_two_lines_changed_round_are_refused(told: Told, bundle: bytes) -> None:
    lines = bundle.splitlines(keepends=True)
    for at in range(len(lines) - 1):
        turned = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
        assert refused(b"".join(turned), told) is not None


def changed(bundle: bytes, kind: str, change: Callable[[list[dict]], None]) -> bytes:  # type: ignore[type-arg]
    """The bundle with the lines of one type changed by whoever can write canonical JSON and no more."""
    lines = [json.loads(line) for line in bundle.splitlines()]
    change([line for line in lines if line["type"] == kind])
    return b"".join(canonical_json(line) + b"\n" for line in lines)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 + 1, 10**30])
def test_numbers_that_have_no_canonical_form_are_refused_as_spelling(told: Told, bundle: bytes, number: int) -> None:
    lines = bundle.splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if b'"revision":' in line)
    lines[at] = re.sub(rb'"revision":\d+', b'"revision":%d' % number, lines[at])
    assert refused(b"".join(lines), told) == ("encoding", at + 1)


def test_what_is_changed_is_named(told: Told, bundle: bytes) -> None:
    def swap(field: str) -> Callable[[list[dict]], None]:  # type: ignore[type-arg]
        def change(lines: list[dict]) -> None:  # type: ignore[type-arg]
            lines[0][field], lines[1][field] = lines[1][field], lines[0][field]

        return change

    def body(change: Callable[[dict], None]) -> Callable[[list[dict]], None]:  # type: ignore[type-arg]
        def inside(lines: list[dict]) -> None:  # type: ignore[type-arg]
            change(next(line["body"] for line in lines if line["body"]["event"] == "status_recorded"))

        return inside

    def signature(lines: list[dict]) -> None:  # type: ignore[type-arg]
        text = lines[0]["jws"]["signature"]
        lines[0]["jws"]["signature"] = ("B" if text[0] == "A" else "A") + text[1:]

    cases = {
        "paths exchanged": ("event", swap("path"), "inclusion"),
        "indexes exchanged": ("event", swap("index"), "inclusion"),
        "certificates' chains": ("certificate", lambda lines: lines[0]["chain"].append(lines[1]["der"]), "seal"),
        "a status' code in the log": ("event", body(lambda one: one["items"][0].update(code="06")), "inclusion"),
        "a time in the log": ("event", body(lambda one: one.update(at="2026-03-12T06:00:00.000000Z")), "inclusion"),
        "a signature": ("status", signature, "signature"),
        "signatures exchanged": ("status", lambda lines: swap("signature")([one["jws"] for one in lines]), "signature"),
        "the older checkpoint's proof": ("checkpoint", lambda lines: lines[0]["proof"].pop(), "consistency"),
        "the older checkpoint": ("checkpoint", lambda lines: lines[0].update(since=lines[0]["note"]), "consistency"),
        "an older checkpoint in the place of the newer": (
            "checkpoint",
            lambda lines: lines[0].update(note=lines[0]["since"], proof=[]),
            "inclusion",
        ),
        "the time of the bundle": (
            "bundle",
            lambda lines: lines[0].update(made_at="2026-03-12T06:00:00.000000Z"),
            "seal",
        ),
        "the document": ("bundle", lambda lines: lines[0]["scope"]["document"].update({"from": "TINH"}), "missing"),
        "a recipient alone": ("bundle", lambda lines: lines[0]["scope"].update(recipient="SO"), "unused"),
    }
    for name, (kind, change, reason) in cases.items():
        answer = refused(changed(bundle, kind, change), told)
        assert answer is not None and answer[0] == reason, (name, answer)


def test_another_key_does_not_vouch(told: Told, bundle: bytes) -> None:
    stranger = parse_verifier_key(verifier_key(LOG, Ed25519PrivateKey.generate().public_key()))
    mine, other = both(bundle, told, (stranger,))
    assert mine is not None and mine[0] == "checkpoint"
    assert other == mine


def test_another_root_does_not_vouch(told: Told, bundle: bytes) -> None:
    roots: list[x509.Certificate] = [story().paper.root()]
    mine = ours(bundle, told.paper.keys(), roots)
    assert mine is not None and mine[0] == "trust"
    assert theirs(bundle, told.paper.keys(), roots) == mine


def test_without_a_root_the_log_vouches_for_certificates(told: Told, bundle: bytes) -> None:
    assert ours(bundle, told.paper.keys()) is None
    assert theirs(bundle, told.paper.keys()) is None


def test_a_bundle_must_continue_the_checkpoint_that_the_auditor_holds(told: Told, bundle: bytes) -> None:
    keys = told.paper.keys()
    assert ours(bundle, keys, since=told.first_note) is None
    assert theirs(bundle, keys, since=told.first_note) is None
    other = told.paper.note(size=told.first_size - 1)
    assert ours(bundle, keys, since=other) == theirs(bundle, keys, since=other) == ("consistency", 0)


def _assembled(told: Told, change: Callable[[Material], None], identity: BrokerIdentity | None = None) -> bytes:
    material = told.paper.material()
    change(material)
    about = {"from": told.letter.from_, "id": str(told.letter.id), "digest": told.letter.digest}
    return assemble(
        material,
        scope=scope_of(about, None),
        identity=identity or told.paper.identity(),
        made_at=told.paper.clock,
    )


def test_the_exchange_itself_cannot_leave_out_signatures_exchange_or_invent_them(told: Told) -> None:
    """Whoever holds the exchange's key can seal anew; leaves and signatures still bind what is told."""
    paper = told.paper
    statuses = list(paper.statuses)

    def without_status(material: Material) -> None:
        del material.statuses[statuses[0]]

    def without_acceptance(material: Material) -> None:
        place = next(at for at, entry in material.entries.items() if entry.value["event"] == "accepted")
        del material.entries[place], material.paths[place]

    def without_enrolment(material: Material) -> None:
        for place in [at for at, entry in material.entries.items() if entry.value.get("codes") == ["BO"]]:
            del material.entries[place], material.paths[place]

    def another_document(material: Material) -> None:
        material.documents |= {"x": story().paper.documents.popitem()[1]}

    def another_certificate(material: Material) -> None:
        stranger = story().paper.material().signers.popitem()
        material.signers[stranger[0]] = stranger[1]

    def withheld_for_nothing(material: Material) -> None:
        material.withheld["0" * 64] = ("status", "retention")

    for change, reason in (
        (without_status, "missing"),
        (without_acceptance, "missing"),
        (without_enrolment, "trust"),
        (another_document, "missing"),
        (another_certificate, "unused"),
        (withheld_for_nothing, "unused"),
    ):
        answer = refused(_assembled(told, change), told)
        assert answer is not None and answer[0] == reason, (change.__name__, answer)


def test_only_the_exchange_seals(told: Told) -> None:
    office = told.paper.offices["BO"]
    identity = BrokerIdentity.of(code="BO", key=office.key, certificate=office.certificate)
    assert refused(_assembled(told, lambda _: None, identity), told) is not None
    stranger = BrokerIdentity.of(
        code=EXCHANGE, key=(other := story().paper.offices[EXCHANGE]).key, certificate=other.certificate
    )
    assert refused(_assembled(told, lambda _: None, stranger), told) is not None


def test_a_withheld_status_is_told_as_withheld(told: Told) -> None:
    first = next(iter(told.paper.statuses))

    def withhold(material: Material) -> None:
        del material.statuses[first]
        material.withheld[first] = ("status", "other-documents")

    assert both(_assembled(told, withhold), told) == (None, None)


def test_neither_checker_ever_breaks(told: Told, bundle: bytes) -> None:
    lines = bundle.splitlines(keepends=True)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def tried(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(["cut", "insert", "mix", "bytes"]))
        at = data.draw(st.integers(0, len(bundle) - 1))
        if kind == "cut":
            mutated = bundle[:at] + bundle[data.draw(st.integers(at + 1, len(bundle))) :]
        elif kind == "insert":
            mutated = bundle[:at] + data.draw(st.binary(min_size=1, max_size=20)) + bundle[at:]
        elif kind == "mix":
            mutated = b"".join(data.draw(st.permutations(lines)))
        else:
            mutated = data.draw(st.binary(max_size=200))
        if mutated != bundle:
            refused(mutated, told)

    tried()
