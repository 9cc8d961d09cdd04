"""The AMQP names that agencies and the broker share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Refusal
from schemas.wire import (
    BINDINGS,
    INTAKE_NORMAL,
    INTAKE_URGENT,
    STATUS,
    Key,
    code_in_key,
    document_key,
    mailbox,
    request_key,
    status_key,
)

codes = st.from_regex(r"[0-9A-Z]{1,6}(\.[0-9A-Z]{1,4}){0,3}", fullmatch=True)


@given(codes)
def test_a_routing_key_is_taken_apart_into_what_it_was_made_of(code: str) -> None:
    assert code_in_key(document_key(code, urgent=True)) == Key("document", "urgent", code)
    assert code_in_key(document_key(code, urgent=False)) == Key("document", "normal", code)
    assert code_in_key(status_key(code)) == Key("status", None, code)
    assert code_in_key(request_key(code)) == Key("request", None, code)


@pytest.mark.parametrize(
    "key",
    ["", "document", "document.H53", "document.urgent", "document.urgent.", "document.slow.H53", "status", "status.",
     "request", "notice.H53", "Document.urgent.H53", "document.normalH53"],
)  # fmt: skip
def test_any_other_routing_key_is_refused(key: str) -> None:
    with pytest.raises(Refusal) as refused:
        code_in_key(key)
    assert (refused.value.code, refused.value.field, refused.value.found) == ("LT-ROUTING-KEY", "routing_key", key)


@pytest.mark.parametrize(
    ("key", "queue"),
    [
        (document_key("H53.31", urgent=True), INTAKE_URGENT),
        (document_key("H53.31", urgent=False), INTAKE_NORMAL),
        (status_key("H53.31"), STATUS),
        (request_key("H53.31"), STATUS),
    ],
)
def test_every_routing_key_leads_to_exactly_one_queue(key: str, queue: str) -> None:
    assert [to for to, binding in BINDINGS if key.startswith(binding.removesuffix("#"))] == [queue]


def test_a_mailbox_is_named_for_its_owner() -> None:
    assert mailbox("H53.31.20") == "agency.H53.31.20"
