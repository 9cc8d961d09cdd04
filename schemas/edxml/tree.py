"""An edXML file as a small tree of elements, with the line and column of everything."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.edxml.content import Encoded
from schemas.edxml.faults import Place

NAMESPACE: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
"""The namespace of the format."""

ROOT: Final = "edXML"

LEGACY: Final = "http://www.e-doc.vn/Schema/"
"""The namespace of the format of 2014, which is another one."""

DATA_ELEMENT: Final = "ContentTransferEncoded"
"""The element with an attachment's base64."""

CARRIED: Final = "lienthong"
"""Target of the one processing instruction that is kept: what was written behind the message by this exchange."""

_NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})


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
