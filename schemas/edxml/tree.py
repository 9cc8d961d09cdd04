"""From bytes to a small tree of elements, under bounds, with the line and column of everything.

Built on expat without its namespace mode: prefixes are resolved here, so that an undeclared one is a fault with a place
among the others and not the end of the reading. There are no entities and no DTD: the first sign of one ends it.
Attachment data never enters the tree; it streams into a `Sink` on its way past.

lxml was not taken: with its bounds on (`huge_tree=False`) it refuses texts above 10 MB, which attachments are, and with
them off it has none.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from xml.parsers import expat

from schemas.edxml.breaches import too_deep, too_large, too_many, wrong_encoding
from schemas.edxml.content import Encoded, Sink
from schemas.edxml.faults import EdxmlFault, Faults, Kind, Place, Stop, Text, namespace_found, quoted, same
from schemas.edxml.limits import Limits
from schemas.edxml.syntax import not_well_formed

NAMESPACE: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
"""The namespace of the format."""

ROOT: Final = "edXML"

LEGACY: Final = "http://www.e-doc.vn/Schema/"
"""The namespace of the format of 2014, which is another one."""

_FRAME: Final = (ROOT, "edXMLEnvelope", "AttachmentEncoded")
"""Elements that are told by their names. A wrong namespace is a fault there, and what is below is read all the same."""

USUAL_PREFIX: Final = "edxml"
"""In small letters. Undeclared, it is a fault, and what was meant is plain."""

DATA_ELEMENT: Final = "ContentTransferEncoded"
"""The element with an attachment's base64."""

CARRIED: Final = "lienthong"
"""Target of the one processing instruction that is kept: what was written behind the message by this exchange."""

PREFIXES: Final = 64
"""Namespace prefixes that may be in scope at once."""

_NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_CHUNK: Final = 64 * 1024
_UTF_8: Final = ("utf-8", "utf8", "us-ascii", "ascii")
_WIDE_MARKS: Final = (
    ("UTF-32", (b"\xff\xfe\x00\x00", b"<\x00\x00\x00", b"\x00\x00\xfe\xff", b"\x00\x00\x00<")),
    ("UTF-16", (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")),
)


class Element:
    """One element: its name without prefix, its namespace, its place, what it holds."""

    __slots__ = (
        "_ordinal", "_parent", "attributes", "children", "column", "content", "line", "name", "namespace", "text",
    )  # fmt: skip

    def __init__(self, name: str, namespace: str | None, parent: "Element | None", ordinal: int) -> None:
        self.name = name
        self.namespace = namespace
        self.line = 0
        self.column = 0
        # By name as written, without namespace declarations.
        self.attributes: Mapping[str, str] = _NO_ATTRIBUTES
        self.children: list[Element] | tuple[()] = ()
        # "" if there are only blanks. Of attachment data nothing is kept here, but in `content`.
        self.text = ""
        self.content: Encoded | None = None
        self._parent = parent
        self._ordinal = ordinal

    @property
    def place(self) -> Place:
        return Place(self.line, self.column, self.path)

    @property
    def path(self) -> str:
        """Names from below the root; of a repeated name the second has a position: `MessageHeader/To[2]/OrganId`."""
        steps: list[str] = []
        element: Element | None = self
        while element is not None:
            steps.append(element._step())
            element = element._parent
        return "/".join(reversed(steps[:-1] or steps))

    def _step(self) -> str:
        return self.name if self._ordinal == 1 else f"{self.name}[{self._ordinal}]"

    def children_named(self, name: str) -> Iterator["Element"]:
        """The children of that name in the format's namespace."""
        return (child for child in self.children if child.name == name and child.namespace == NAMESPACE)

    def child(self, name: str) -> "Element | None":
        """The first child of that name in the format's namespace."""
        return next(self.children_named(name), None)


class Absent(NamedTuple):
    """An element that is missing: it would stand inside `parent`."""

    parent: Element
    name: str

    @property
    def place(self) -> Place:
        return self.parent.place._replace(element=f"{self.parent.path}/{self.name}")


class Tree:
    """What came out."""

    def __init__(self) -> None:
        # None if the file did not get that far, or was refused for its size or for what it tries.
        self.root: Element | None = None
        # Whether it was read to its end.
        self.complete = False
        # What was carried behind it.
        self.carried: str | None = None


def read_tree(data: bytes, faults: Faults, limits: Limits) -> Tree:
    """Read `data` into a tree; everything wrong with its XML goes to `faults`. Never raises for what `data` holds."""
    builder = _Builder(data, faults, limits)
    try:
        builder.run()
    except Stop as stop:
        faults.add(stop.fault)
        if stop.fault.kind is not Kind.NOT_WELL_FORMED:
            builder.tree.root = None
    return builder.tree


class _Open:
    """An element whose end tag has not come yet."""

    __slots__ = ("_alike", "element", "length", "outside", "pieces", "tag")

    def __init__(self, element: Element, tag: str, outside: dict[str, str]) -> None:
        self.element = element
        # Its name with prefix.
        self.tag = tag
        # The prefixes that hold again behind it.
        self.outside = outside
        self.pieces: list[str] = []
        self.length = 0
        self._alike: dict[str, int] = {}

    def add(self, child: Element) -> None:
        child._ordinal = self._alike[child.name] = self._alike.get(child.name, 0) + 1
        if isinstance(self.element.children, list):
            self.element.children.append(child)
        else:
            self.element.children = [child]


class _Builder:
    """Expat's handlers and the state between them."""

    def __init__(self, data: bytes, faults: Faults, limits: Limits) -> None:
        self.tree = Tree()
        self._data = data
        self._faults = faults
        self._limits = limits
        self._open: list[_Open] = []
        self._scope: dict[str, str] = {"xml": _XML}
        self._names: dict[str, tuple[str, str]] = {}
        self._undeclared: set[str] = set()
        # Namespaces (None: none) that stand where the format's should; told once each.
        self._instead: set[str | None] = set()
        # Elements and attributes.
        self._things = 0
        self._sink: Sink | None = None
        self._sink_start = 0
        self._sink_element: Element | None = None
        # Bytes of attachment data, encoded and unpacked, that have gone past.
        self._sunk = 0
        self._unpacked = 0
        self._files = 0
        self._lines = 0
        self._tags = 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = _CHUNK
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def run(self) -> None:
        size = len(self._data)
        if size > self._limits.file:
            raise Stop(too_large(Place(1, 1, "file"), size, self._limits.file))
        for encoding, marks in _WIDE_MARKS:
            if self._data.startswith(marks):
                raise Stop(wrong_encoding(encoding))
        view = memoryview(self._data)
        try:
            for at in range(0, size, _CHUNK):
                self._lines += self._line_ends(at, at + _CHUNK)
                if self._lines > self._limits.lines:
                    raise Stop(too_many(self._here("lines"), self._limits.lines))
                self._tags += self._data.count(b"<", at, at + _CHUNK)
                if self._tags > self._limits.tags:
                    raise Stop(too_many(self._here("tags"), self._limits.tags))
                self._parser.Parse(view[at : at + _CHUNK], False)
                self._check_bounds(min(at + _CHUNK, size))
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            inside = self._open[-1] if self._open else None
            path, tag = (inside.element.path, inside.tag) if inside else ("file", None)
            raise Stop(not_well_formed(error, path, tag, self._data, self._parser.ErrorByteIndex)) from error
        self.tree.complete = True

    def _line_ends(self, start: int, stop: int) -> int:
        """How many there are; looking whether there is one at all is ten times as fast as counting none."""
        data = self._data
        feeds = data.count(b"\n", start, stop) if data.find(b"\n", start, stop) >= 0 else 0
        if data.find(b"\r", start, stop) < 0:
            return feeds
        return feeds + data.count(b"\r", start, stop) - data.count(b"\r\n", start, stop)

    def _check_bounds(self, fed: int) -> None:
        begun = self._parser.CurrentByteIndex
        if fed - begun > self._limits.token:
            raise Stop(too_large(self._here("a tag, comment or attribute"), fed - begun, self._limits.token))
        inside = self._sunk + (begun - self._sink_start if self._sink else 0)
        if begun - inside > self._limits.markup:
            raise Stop(too_large(self._here("everything but attachments"), begun - inside, self._limits.markup))

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _UTF_8:
            raise Stop(wrong_encoding(encoding))

    def _doctype(self, name: str, *rest: object) -> None:
        raise Stop(
            EdxmlFault(
                kind=Kind.FORBIDDEN,
                place=self._here("DOCTYPE"),
                found=quoted(f"<!DOCTYPE {name}"),
                expected=Text("no document type declaration and no entities", "không có DOCTYPE, không có thực thể"),
            )
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        self._things += 1 + len(attributes)
        if self._things > self._limits.elements:
            raise Stop(too_many(Place(line, column, name), self._limits.elements))
        if len(self._open) >= self._limits.depth:
            raise Stop(too_deep(Place(line, column, name), self._limits.depth))
        outside = self._scope
        plain = self._declare(attributes, Place(line, column, name))
        # Names repeat: one string for all of them.
        prefix, local = self._names.setdefault(name, (name.rpartition(":")[0], name.rpartition(":")[2]))
        around = self._open[-1] if self._open else None
        namespace = self._scope.get(prefix) or (NAMESPACE if prefix.lower() == USUAL_PREFIX else None)
        if namespace != NAMESPACE and local in _FRAME and len(self._open) < 2 and namespace != LEGACY:
            self._tell_namespace(Place(line, column, local), namespace)
        if namespace in self._instead:
            namespace = NAMESPACE
        element = Element(local, namespace, around.element if around else None, 1)
        element.line, element.column = line, column
        if plain:
            element.attributes = plain
        if around is None:
            self.tree.root = element
        else:
            around.add(element)
        for used in (name, *plain):
            used_prefix = used.rpartition(":")[0]
            if used_prefix and used_prefix not in self._scope and used_prefix not in self._undeclared:
                self._tell_undeclared(element, used, used_prefix)
        self._open.append(_Open(element, name, outside))
        if local == DATA_ELEMENT and self._sink is None:
            self._files += 1
            if self._files > self._limits.attachments:
                raise Stop(too_many(element.place, self._limits.attachments))
            self._sink, self._sink_element = Sink(self._limits), element
            self._sink_start = self._parser.CurrentByteIndex

    def _declare(self, attributes: dict[str, str], place: Place) -> dict[str, str]:
        """Put the prefixes that an element declares into scope; returns its other attributes."""
        declared = {
            name[6:]: value for name, value in attributes.items() if name == "xmlns" or name.startswith("xmlns:")
        }
        if not declared:
            return attributes
        self._scope = self._scope | declared
        if len(self._scope) > PREFIXES:
            raise Stop(too_many(place, PREFIXES))
        return {name: value for name, value in attributes.items() if name != "xmlns" and not name.startswith("xmlns:")}

    def _tell_namespace(self, place: Place, namespace: str | None) -> None:
        if namespace not in self._instead:
            self._instead.add(namespace)
            self._faults.error(Kind.NAMESPACE, place, found=namespace_found(namespace), expected=same(f'"{NAMESPACE}"'))

    def _tell_undeclared(self, element: Element, name: str, prefix: str) -> None:
        """Once for each prefix: what follows from it is no news."""
        self._undeclared.add(prefix)
        self._faults.error(
            Kind.PREFIX,
            element,
            found=quoted(name),
            expected=Text(f'a declaration xmlns:{prefix}="…"', f'khai báo xmlns:{prefix}="…"'),
        )

    def _end(self, name: str) -> None:
        closed = self._open.pop()
        self._scope = closed.outside
        if not self._open:
            # Only what follows the root is listened to: millions of instructions would be millions of calls.
            self._parser.ProcessingInstructionHandler = self._instruction
        element = closed.element
        element.text = "".join(closed.pieces)
        if self._sink is not None and element is self._sink_element:
            end = self._parser.CurrentByteIndex
            element.content = self._sink.finish(self._data, self._sink_start, end)
            if (wrong := self._sink.wrong) is not None:
                self._faults.error(wrong.kind, element.place, found=wrong.found, expected=wrong.expected)
            self._check_unpacked(element, self._sink)
            self._unpacked += self._sink.size
            self._sunk += end - self._sink_start
            self._sink = self._sink_element = None
            self._parser.CharacterDataHandler = self._text

    def _text(self, text: str) -> None:
        if self._sink is not None:
            # Asked again, because to take the handler away is to be handed the same text once more.
            if self._sink.wrong is None and not self._sink.feed(text):
                # The rest of the data is let pass, at expat's own speed.
                self._parser.CharacterDataHandler = None
            self._check_unpacked(self._open[-1].element, self._sink)
            return
        inside = self._open[-1]
        if not inside.pieces and text.isspace():
            # Indentation. Blanks that follow a text belong to it: instructions and long texts cut it into pieces.
            return
        inside.pieces.append(text)
        inside.length += len(text)
        if inside.length > self._limits.text:
            raise Stop(too_large(inside.element.place, inside.length, self._limits.text))

    def _check_unpacked(self, element: Element, sink: Sink) -> None:
        if self._unpacked + sink.size > self._limits.unpacked_total:
            raise Stop(too_large(element.place, self._unpacked + sink.size, self._limits.unpacked_total))

    def _instruction(self, target: str, data: str) -> None:
        if target == CARRIED:
            self.tree.carried = data

    def _here(self, what: str) -> Place:
        return Place(
            self._parser.CurrentLineNumber,
            self._parser.CurrentColumnNumber + 1,
            self._open[-1].element.path if self._open else what,
        )
