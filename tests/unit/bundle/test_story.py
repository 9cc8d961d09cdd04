"""What a checked bundle tells people: the timeline, each delivery's state, verdicts with custody, in both languages."""

from __future__ import annotations

import io

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from broker.evidence.bundle.check import check
from broker.evidence.bundle.material import Head, Material
from broker.evidence.bundle.show import REASONS, as_value, render
from broker.evidence.notes import COSIGNATURE, cosignature_line, parse_note, parse_verifier_key, verifier_key
from tests.kit.evidence_story import Told
from tests.unit.bundle.checkers import ours, theirs
from tests.unit.bundle.test_tampering import _assembled


def test_each_delivery_stands_where_the_signed_facts_put_it(told: Told, bundle: bytes) -> None:
    checked = check(bundle, keys=told.paper.keys(), roots=[told.paper.root()])
    letter, recall = checked.story
    assert {one.recipient: one.state for one in letter.deliveries} == {
        "SO": "recalled",
        "TINH": "arrived",
        "XA": "arrived",
    }
    assert {one.recipient: one.owner for one in letter.deliveries}["XA"] == "TINH"
    assert recall.action == "recall"
    custody = {one.speaker: one.custody for one in checked.signatures}
    assert custody == {"BO": "agency", "TINH": "agency", "SO": "broker", "LT.EXCHANGE": "agency"}


def test_the_story_is_told_in_vietnamese_and_in_english(told: Told, bundle: bytes) -> None:
    checked = check(bundle, keys=told.paper.keys())
    shown = {}
    for lang in ("vi", "en"):
        console = Console(file=io.StringIO(), width=300)
        console.print(render(checked, lang))
        assert isinstance(console.file, io.StringIO)
        shown[lang] = console.file.getvalue()
    assert all(text in shown["vi"] for text in ("trục tiếp nhận", "quá hạn", "đã thu hồi", "trục giữ khóa", "ĐẠT."))
    assert all(text in shown["en"] for text in ("accepted by the exchange", "overdue", "recalled", "GOOD."))
    assert "accepted" not in shown["vi"]


def test_every_fault_has_words_in_both_languages(told: Told, bundle: bytes) -> None:
    for at in range(0, len(bundle), 997):
        other = b"y" if bundle[at : at + 1] == b"x" else b"x"
        broken = check(bundle[:at] + other + bundle[at + 1 :], keys=told.paper.keys())
        value = as_value(broken)
        assert value["good"] is False
        assert value["faults"][0]["vi"] == REASONS[value["faults"][0]["reason"]].vi


def test_a_witness_counts_when_its_key_is_given_and_is_sealed_when_not(told: Told) -> None:
    witness = Ed25519PrivateKey.generate()
    key = parse_verifier_key(verifier_key("witness.example", witness.public_key(), kind=COSIGNATURE))

    def cosigned(material: Material) -> None:
        head = material.heads[0]
        line = cosignature_line(parse_note(head.note.encode()).text, "witness.example", witness, told.paper.clock)
        material.heads[0] = Head(origin_id=0, origin=head.origin, size=head.size, note=f"{head.note}{line.encode()}\n")

    bundle = _assembled(told, cosigned)
    keys = told.paper.keys()
    assert ours(bundle, keys) is None and theirs(bundle, keys) is None
    assert check(bundle, keys=keys).anchors[0].unknown == 1
    anchor = check(bundle, keys=(*keys, key)).anchors[0]
    assert {one.key.name for one in anchor.signatures} == {"lt.exchange/log", "witness.example"}
    assert theirs(bundle, (*keys, key)) is None
    at = bundle.index("— witness.example ".encode()) + 40
    for trusted, reason in ((keys, "seal"), ((*keys, key), "checkpoint")):
        changed = bundle[:at] + (b"A" if bundle[at : at + 1] != b"A" else b"B") + bundle[at + 1 :]
        mine = ours(changed, trusted)
        assert mine is not None and mine[0] == reason
        assert theirs(changed, trusted) == mine
    # Witnesses alone make no checkpoint.
    alone = ours(bundle, (key,))
    assert alone is not None and alone[0] == "checkpoint"
    assert theirs(bundle, (key,)) == alone
