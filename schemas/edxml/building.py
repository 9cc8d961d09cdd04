"""Builds the tree from bytes, under bounds.

Built on expat without its namespace mode: prefixes are resolved here, so that an undeclared one is a fault with a place
among the others and not the end of the reading. There are no entities and no DTD: the first sign of one ends it.
Attachment data never enters the tree; it streams into a `Sink` on its way past.

lxml was not taken: with its bounds on (`huge_tree=False`) it refuses texts above 10 MB, which attachments are, and with
them off it has none.
"""

from typing import Final
from xml.parsers import expat

from schemas.edxml.breaches import too_deep, too_large, too_many, wrong_encoding
from schemas.edxml.content import Sink
from schemas.edxml.faults import EdxmlFault, Faults, Kind, Place, Stop, Text, namespace_found, quoted, same
from schemas.edxml.limits import Limits
from schemas.edxml.parser import CHUNK, Parser, line_ends
from schemas.edxml.syntax import not_well_formed
from schemas.edxml.tree import CARRIED, DATA_ELEMENT, LEGACY, NAMESPACE, ROOT, Element, Tree
from schemas.edxml.zip_entry import PIECE

_FRAME: Final = (ROOT, "edXMLEnvelope", "AttachmentEncoded")
"""Elements that are told by their names. A wrong namespace is a fault there, and what is below is read all the same."""

USUAL_PREFIX: Final = "edxml"
"""In small letters. Undeclared, it is a fault, and what was meant is plain."""

PREFIXES: Final = 64
"""Namespace prefixes that may be in scope at once, and that may be used without being declared."""

_XML: Final = "http://www.w3.org/XML/1998/namespace"
_UTF_8: Final = ("utf-8", "utf8", "us-ascii", "ascii")
_WIDE_MARKS: Final = (
    ("UTF-32", (b"\xff\xfe\x00\x00", b"<\x00\x00\x00", b"\x00\x00\xfe\xff", b"\x00\x00\x00<")),
    ("UTF-16", (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")),
)


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
        # What is empty takes no memory: there may be sixty thousand.
        self.pieces: list[str] | tuple[()] = ()
        self.length = 0
        self._alike: dict[str, int] | None = None

    def add(self, child: Element) -> None:
        if self._alike is None:
            self._alike = {child.name: 1}
        else:
            child._ordinal = self._alike[child.name] = self._alike.get(child.name, 0) + 1
        if isinstance(self.element.children, list):
            self.element.children.append(child)
        else:
            self.element.children = [child]

    def say(self, text: str) -> None:
        if isinstance(self.pieces, list):
            self.pieces.append(text)
        else:
            self.pieces = [text]
        self.length += len(text)


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
        # Whether nothing but text has been met in it.
        self._sink_bare = False
        self._sink_element: Element | None = None
        # Bytes of attachment data, encoded and unpacked, that have gone past.
        self._sunk = 0
        self._unpacked = 0
        self._files = 0
        self._lines = 0
        self._tags = 0
        self._references = 0
        self._parser = Parser()
        self._listen()

    def _listen(self) -> None:
        parser = self._parser.expat
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
            at = 0
            while at < size:
                self._count(at, at + CHUNK)
                self._parser.expat.Parse(view[at : at + CHUNK], False)
                at = min(at + CHUNK, size)
                self._check_bounds(at)
                at = self._past_data(at)
            self._parser.expat.Parse(b"", True)
        except expat.ExpatError as error:
            inside = self._open[-1] if self._open else None
            path, tag = (inside.element.path, inside.tag) if inside else ("file", None)
            place = Place(*self._parser.error_position(error), path)
            raise Stop(not_well_formed(error, place, tag, self._data, self._parser.error_index)) from error
        self.tree.complete = True

    def _count(self, start: int, end: int) -> None:
        """What stands in the bytes that are parsed next."""
        self._lines += line_ends(self._data, start, end)
        self._tags += self._data.count(b"<", start, end)
        self._references += self._data.count(b"&", start, end)
        self._check_counts()

    def _check_counts(self) -> None:
        limits = self._limits
        for what, count, limit in (
            ("lines", self._lines, limits.lines),
            ("tags", self._tags, limits.tags),
            ("references", self._references, limits.references),
        ):
            if count > limit:
                raise Stop(too_many(self._here(what), limit))

    def _check_bounds(self, fed: int) -> None:
        begun = self._parser.index
        if fed - begun > self._limits.token:
            raise Stop(too_large(self._here("a tag, comment or attribute"), fed - begun, self._limits.token))
        inside = self._sunk + (begun - self._sink_start if self._sink else 0)
        if begun - inside > self._limits.markup:
            raise Stop(too_large(self._here("everything but attachments"), begun - inside, self._limits.markup))

    def _past_data(self, at: int) -> int:
        """Where parsing goes on: behind most of an attachment's data, if nothing else has been met in its element."""
        sink = self._sink
        if sink is None or sink.wrong is not None:
            return at
        if self._data.rfind(b"<", max(self._sink_start, at - CHUNK), at) > self._sink_start:
            self._sink_bare = False  # from here on: it may be a comment or a section, and still open
        if not self._sink_bare or self._parser.index != at:
            return at
        # To set a handler is to be handed what was read so far.
        self._parser.expat.CharacterDataHandler = self._text
        return self._lead_past(sink, at)

    def _lead_past(self, sink: Sink, at: int) -> int:
        """Give the sink what needs no parser, until markup or something wrong comes: that is parsed."""
        size, markup = len(self._data) - 1, False  # where a file breaks off is for expat to say
        while sink.wrong is None and at < size and not markup:
            end = min(at + PIECE, size)
            behind = self._markup(at, end)
            markup = behind < end
            behind += self._data[behind - 1 : behind + 1] == b"\r\n"  # one line end
            blanks = sink.blanks
            if sink.feed(self._data[at:behind]):
                lines = line_ends(self._data, at, behind) if sink.blanks > blanks else 0
                self._parser.skip(self._data, at, behind, lines)
                self._lines += lines
                self._check_counts()
                at = behind
            self._check_unpacked(self._open[-1].element, sink)
        if sink.wrong is not None:
            self._parser.expat.CharacterDataHandler = None
        return at

    def _markup(self, start: int, end: int) -> int:
        """Where the first sign is that needs a parser; `end` if there is none."""
        tag = self._data.find(b"<", start, end)
        end = end if tag < 0 else tag
        reference = self._data.find(b"&", start, end)
        return end if reference < 0 else reference

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
        line, column = self._parser.position
        self._things += 1 + len(attributes)
        if self._things > self._limits.elements:
            raise Stop(too_many(Place(line, column, name), self._limits.elements))
        if len(self._open) >= self._limits.depth:
            raise Stop(too_deep(Place(line, column, name), self._limits.depth))
        outside = self._scope
        if attributes:
            attributes = self._declare(attributes, Place(line, column, name))
        prefix, local = self._names.get(name) or self._name(name, line, column)
        namespace = self._scope.get(prefix) or (NAMESPACE if prefix.lower() == USUAL_PREFIX else None)
        if namespace != NAMESPACE and local in _FRAME and len(self._open) < 2 and namespace != LEGACY:
            self._tell_namespace(Place(line, column, local), namespace)
        if namespace in self._instead:
            namespace = NAMESPACE
        around = self._open[-1] if self._open else None
        element = Element(local, namespace, around.element if around else None, 1)
        element.line, element.column = line, column
        if around is None:
            self.tree.root = element
        else:
            around.add(element)
        self._check_prefix(prefix, name, element)
        if attributes:
            element.attributes = attributes
            for attribute in attributes:
                self._check_prefix(attribute.rpartition(":")[0], attribute, element)
        self._open.append(_Open(element, name, outside))
        if local == DATA_ELEMENT and self._sink is None:
            self._files += 1
            if self._files > self._limits.attachments:
                raise Stop(too_many(element.place, self._limits.attachments))
            self._sink, self._sink_element = Sink(self._limits), element
            self._sink_start, self._sink_bare = self._parser.index, True

    def _name(self, name: str, line: int, column: int) -> tuple[str, str]:
        """Prefix and local name of what was not met before. Names repeat: one string for all of them."""
        if len(self._names) >= self._limits.names:
            raise Stop(too_many(Place(line, column, name), self._limits.names))
        prefix, _, local = name.rpartition(":")
        self._names[name] = prefix, local
        return prefix, local

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

    def _check_prefix(self, prefix: str, name: str, element: Element) -> None:
        """Whether it was declared is told once for each prefix: what follows from it is no news."""
        if not prefix or prefix in self._scope or prefix in self._undeclared:
            return
        self._undeclared.add(prefix)
        if len(self._undeclared) > PREFIXES:
            raise Stop(too_many(element.place, PREFIXES))
        declaration = f'xmlns:{prefix}="…"'
        expected = Text(f"a declaration {declaration}", f"khai báo {declaration}")
        self._faults.error(Kind.PREFIX, element, found=name, expected=expected)

    def _tell_namespace(self, place: Place, namespace: str | None) -> None:
        if namespace not in self._instead:
            self._instead.add(namespace)
            self._faults.error(Kind.NAMESPACE, place, found=namespace_found(namespace), expected=same(f'"{NAMESPACE}"'))

    def _end(self, name: str) -> None:
        closed = self._open.pop()
        self._scope = closed.outside
        if not self._open:
            # Only what follows the root is listened to: millions of instructions would be millions of calls.
            self._parser.expat.ProcessingInstructionHandler = self._instruction
        element = closed.element
        element.text = "".join(closed.pieces)
        if self._sink is not None and element is self._sink_element:
            end = self._parser.index
            element.content = self._sink.finish(self._data, self._sink_start, end)
            if (wrong := self._sink.wrong) is not None:
                self._faults.error(wrong.kind, element.place, found=wrong.found, expected=wrong.expected)
            self._check_unpacked(element, self._sink)
            self._unpacked += self._sink.size
            self._sunk += end - self._sink_start
            self._sink = self._sink_element = None
            self._parser.expat.CharacterDataHandler = self._text

    def _text(self, text: str) -> None:
        if self._sink is not None:
            # Asked again, because to take the handler away is to be handed the same text once more.
            if self._sink.wrong is None and not self._sink.feed(text.encode()):
                # The rest of the data is let pass, at expat's own speed.
                self._parser.expat.CharacterDataHandler = None
            self._check_unpacked(self._open[-1].element, self._sink)
            return
        inside = self._open[-1]
        if not inside.pieces and text.isspace():
            # Indentation. Blanks that follow a text belong to it: instructions and long texts cut it into pieces.
            return
        inside.say(text)
        if inside.length > self._limits.text:
            raise Stop(too_large(inside.element.place, inside.length, self._limits.text))

    def _check_unpacked(self, element: Element, sink: Sink) -> None:
        if self._unpacked + sink.size > self._limits.unpacked_total:
            raise Stop(too_large(element.place, self._unpacked + sink.size, self._limits.unpacked_total))

    def _instruction(self, target: str, data: str) -> None:
        if target == CARRIED:
            self.tree.carried = data

    def _here(self, what: str) -> Place:
        return Place(*self._parser.position, self._open[-1].element.path if self._open else what)
