"""Reads an edXML file: bytes in; the message, and everything that is wrong with it, out.

Namespaces count and prefixes do not; children come in any order; what the field writes otherwise than the format has it
is understood where it can be, and remarked. Nothing is raised for what a file holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, TypeVar

from schemas.edxml.building import read_tree
from schemas.edxml.faults import (
    EMPTY,
    NOTHING,
    EdxmlFault,
    Faults,
    Kind,
    Text,
    errors_of,
    namespace_found,
    refusal,
    same,
)
from schemas.edxml.limits import LIMITS, Limits
from schemas.edxml.records import Document, Further, Message, Record, Status
from schemas.edxml.rules import alike, check_document, check_status
from schemas.edxml.shapes import ATTACHMENT, CONTENT_REFERENCE, MESSAGE_HEADER, STATUS_HEADER, TRACE, Shape, Slot
from schemas.edxml.signature import judge
from schemas.edxml.tree import LEGACY, NAMESPACE, ROOT, Absent, Element, Tree
from schemas.edxml.values import Value

R = TypeVar("R", bound=Record)

_SIGNATURES: Final = ("Signature", "DigitalSignature")

_ONE: Final = Text("one such element", "chỉ một phần tử như vậy")
_ONLY_DATA: Final = Text("base64 data only", "chỉ dữ liệu base64")
_OF_THE_FORMAT: Final = Text("an element that the format has here", "phần tử có trong định dạng tại vị trí này")
_NO_FILES: Final = Text("no files in a status", "trạng thái không kèm tệp")
_ONLY_TEXT: Final = Text("only text inside", "chỉ có chữ, không có phần tử con")
_ONLY_ELEMENTS: Final = Text("only elements inside", "chỉ có phần tử con")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What reading a file gave."""

    # None if there is no message that could be told apart; with errors it is as far as it was understood.
    message: Message | None
    faults: tuple[EdxmlFault, ...]
    # Further faults that were counted and not kept.
    untold: int
    data: bytes

    @property
    def errors(self) -> tuple[EdxmlFault, ...]:
        return errors_of(self.faults)

    @property
    def good(self) -> bool:
        """Whether the file can be used; there may be remarks."""
        return self.message is not None and not self.errors

    @cached_property
    def sha256(self) -> str:
        return sha256(self.data).hexdigest()

    def accepted(self) -> Message:
        """The message of a good file. Raises Refusal LT-EDXML with all errors."""
        if self.message is None or self.errors:
            raise refusal(self.faults)
        return self.message


def read(data: bytes, *, today: date | None = None, limits: Limits = LIMITS) -> Reading:
    """Read an edXML file of QCVN 102:2016, a document or a status.

    With `today` (the date in Viet Nam) a document issued later is an error. The attachments stay in `data`, which the
    message therefore keeps alive.
    """
    faults = Faults(limits.faults)
    tree = read_tree(data, faults, limits)
    message = None
    if tree.root is not None:
        message = _Reader(faults, complete=tree.complete).message(tree.root, tree)
        if tree.complete and message is not None:
            if isinstance(message, Document):
                check_document(message, faults, today=today)
            else:
                check_status(message, faults)
    in_order = sorted(faults.found, key=lambda fault: fault.place[:2])
    return Reading(message=message, faults=tuple(in_order), untold=faults.untold, data=data)


class _Reader:
    """From the tree to records, by the tables of `shapes`."""

    def __init__(self, faults: Faults, *, complete: bool) -> None:
        self._faults = faults
        # In a file that breaks off, what is missing is no fault of its own.
        self._complete = complete

    def message(self, root: Element, tree: Tree) -> Message | None:
        if root.name != ROOT or root.namespace != NAMESPACE:
            self._wrong_root(root)
            return None
        envelope = self._step(root, "edXMLEnvelope")
        head = self._step(envelope, "edXMLHeader")
        header = self._step(head, "MessageHeader")
        if envelope is None or head is None or header is None:
            return None
        self._strangers(root, ("edXMLEnvelope", "AttachmentEncoded"))
        self._strangers(envelope, ("edXMLHeader", "edXMLBody"))
        self._strangers(head, ("MessageHeader", "TraceHeaderList"), also=_SIGNATURES)
        verdict = judge(next((child for child in head.children if child.name in _SIGNATURES), None))
        if header.child("StatusCode") is not None:
            if (files := root.child("AttachmentEncoded")) is not None and files.children:
                self._faults.remark(Kind.UNKNOWN, files, found=files.name, expected=_NO_FILES)
            return Status(header=self.record(header, STATUS_HEADER), verdict=verdict, carried=tree.carried)
        trace = self._only(head, "TraceHeaderList")
        body = self._only(envelope, "edXMLBody")
        listing = self._only(body, "edXMLManifest")
        encoded = self._only(root, "AttachmentEncoded")
        return Document(
            header=self.record(header, MESSAGE_HEADER),
            trace=None if trace is None else self.record(trace, TRACE),
            references=tuple(self.record(one, CONTENT_REFERENCE) for one in self._all(listing, "Reference")),
            attachments=tuple(self.record(one, ATTACHMENT) for one in self._all(encoded, "Attachment")),
            verdict=verdict,
            carried=tree.carried,
        )

    def _wrong_root(self, root: Element) -> None:
        if root.name != ROOT:
            expected = Text(f"<edXML xmlns={NAMESPACE!r}>", f"<edXML xmlns={NAMESPACE!r}>")
            self._faults.error(Kind.ROOT, root.place, found=root.name, expected=expected)
            return
        older = Text("(the format of 2014 is another one)", "(định dạng năm 2014 là định dạng khác)")
        expected = Text(f'"{NAMESPACE}" {older.en}', f'"{NAMESPACE}" {older.vi}')
        self._faults.error(Kind.NAMESPACE, root.place, found=LEGACY, expected=expected)

    def _step(self, parent: Element | None, name: str) -> Element | None:
        """The one child that has to be there."""
        if parent is None:
            return None
        found = self._only(parent, name)
        if found is None and self._complete:
            self._missing(parent, name)
        return found

    def _only(self, parent: Element | None, name: str) -> Element | None:
        if parent is None:
            return None
        found = list(parent.children_named(name))
        for again in found[1:]:
            self._faults.error(Kind.REPEATED, again, found=name, expected=_ONE)
        return found[0] if found else None

    def _all(self, parent: Element | None, name: str) -> list[Element]:
        if parent is None:
            return []
        self._strangers(parent, (name,))
        return list(parent.children_named(name))

    def _strangers(self, element: Element, known: Iterable[str], *, also: Iterable[str] = ()) -> None:
        self._stray(element)
        for child in element.children:
            if child.name not in also:
                self._known(child, known)

    def _known(self, child: Element, known: Iterable[str]) -> bool:
        """Whether the format has `child` where it stands; says so if not."""
        if child.name in known:
            if child.namespace == NAMESPACE:
                return True
            found = namespace_found(child.namespace)
            self._faults.error(Kind.NAMESPACE, child, found=found, expected=same(f'"{NAMESPACE}"'))
        else:
            meant = alike(child.name, known) if self._faults.has_room else None
            expected = same(f"<{meant}>") if meant else _OF_THE_FORMAT
            self._faults.remark(Kind.UNKNOWN, child, found=child.name, expected=expected)
        return False

    def _stray(self, element: Element) -> None:
        if element.text:
            self._faults.remark(Kind.STRAY, element, found=element.text.strip(), expected=_ONLY_ELEMENTS)

    def _missing(self, parent: Element, name: str) -> None:
        self._faults.error(Kind.MISSING, Absent(parent, name), found=NOTHING, expected=same(f"<{name}>"))

    def record(self, element: Element, shape: Shape[R]) -> R:
        """The record of an element; what is wrong goes to the faults."""
        self._stray(element)
        found: dict[str, list[Element]] = {}
        further = []
        for child in element.children:
            if self._known(child, shape.by_element):
                found.setdefault(child.name, []).append(child)
            else:
                further.append(_further(child))
        fields: dict[str, Any] = {"source": element}
        for name, elements in found.items():
            slot = shape.by_element[name]
            value = self._slot(slot, elements)
            if value is not None:
                fields[slot.field] = value
            elif slot.lenient:  # not understood, and kept as it stands there
                further += [_further(one) for one in elements if one.text]
        fields["further"] = tuple(further)
        for name in shape.required if self._complete else ():
            if name not in found:
                self._missing(element, name)
        for name, field in shape.attributes:
            if name in element.attributes:
                fields[field] = element.attributes[name]
        return shape.record(**fields)

    def _slot(self, slot: Slot, found: list[Element]) -> Any:
        if slot.inside is not None:
            around = found
            found = [item for one in around for item in one.children_named(slot.element)]
            for one in around:
                self._strangers(one, (slot.element,))
            self._once(around)
        if not found:
            return None
        if slot.many:
            return tuple(item for one in found if (item := self._item(one, slot)) is not None)
        self._once(found)
        return self._item(found[0], slot)

    def _once(self, found: list[Element]) -> None:
        for again in found[1:]:
            self._faults.error(Kind.REPEATED, again, found=again.name, expected=_ONE)

    def _item(self, element: Element, slot: Slot) -> Any:
        if slot.value is not None:
            return self._simple(element, slot, slot.value)
        if slot.shape is None:
            for child in element.children:
                self._faults.error(Kind.STRAY, child, found=child.name, expected=_ONLY_DATA)
            return element.content
        known = slot.shape.by_element
        if not slot.required and _blank(element) and all(child.name in known for child in element.children):
            return None
        return self.record(element, slot.shape)

    def _simple(self, element: Element, slot: Slot, value: Value) -> Any:
        for child in element.children:
            if _blank(child):
                self._known(child, ())
            else:  # words that would be lost
                self._faults.error(Kind.UNKNOWN, child, found=child.name, expected=_ONLY_TEXT)
        text = element.text if value.verbatim else element.text.strip()
        if not text:
            if slot.required and self._complete:
                self._faults.error(Kind.MISSING, element, found=EMPTY, expected=value.expected)
            return None
        if slot.limit is not None and len(text) > slot.limit:
            found = Text(f"{len(text)} characters", f"{len(text)} ký tự")
            expected = Text(f"at most {slot.limit} (nowhere enforced)", f"tối đa {slot.limit} (thực tế không chặn)")
            self._faults.remark(Kind.LENGTH, element, found=found, expected=expected)
        read = value.read(text)
        if read is None:
            say = self._faults.remark if slot.lenient else self._faults.error
            say(Kind.VALUE, element, found=text, expected=value.expected)
            return None
        if not read.regular:
            self._faults.remark(Kind.VALUE, element, found=text, expected=value.expected)
        return read.value


def _blank(element: Element) -> bool:
    """Whether there is no text and no attribute in it and in nothing below it."""
    return not element.text and not element.attributes and all(_blank(child) for child in element.children)


def _further(element: Element) -> Further:
    return Further(
        name=element.name,
        namespace=element.namespace,
        text=element.text,
        attributes=tuple(item for item in element.attributes.items() if ":" not in item[0]),
        children=tuple(_further(child) for child in element.children),
    )
