"""XML as XCCOS uses it: a small tree, read from hostile bytes within bounds, written so that it reads back the same.

Reading refuses a DOCTYPE at its first character, so there are no entities to expand and nothing external to fetch.
It takes UTF-8 whatever the declaration says: every known client sends that, and one decoder is enough to attack.
"""

import re
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import DefusedXMLParser, ParseError  # type: ignore[import-untyped]

NAMESPACE = "urn:parlano:xml:ns:xccos"
MAX_BYTES = 262_144  # what a connection takes as a body at most, so a larger one could not have come
MAX_DEPTH = 16  # XCCOS needs seven
MAX_ELEMENTS = 20_000  # a search with 999 rooms in its answer needs 7,000

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2, complement of Char
_TEXT = {"\r": "&#13;"}  # a bare one would be read as a line feed (XML 1.0 §2.11)
_ATTRIBUTE = {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;", '"': "&quot;"}  # bare ones would be read as spaces (§3.3.3)


class XccosError(ValueError):
    """Bytes that are not an envelope we can read; the text says why, in one line.

    `envid` is the envelope's own id where it could be read, so that an answer can name it, else "".
    """

    def __init__(self, reason: str, envid: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.envid = envid


@dataclass(slots=True)
class Element:
    """One element. `text` is its own character data, all of it together; the order among text and children is not kept.

    Names in the XCCOS namespace, or in none, are bare; others are `{namespace}name`.
    """

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def get(self, attribute: str, default: str = "") -> str:
        return self.attributes.get(attribute, default)

    def find(self, name: str) -> "Element | None":
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> list["Element"]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]


def parse_xml(body: bytes, max_bytes: int = MAX_BYTES) -> Element:
    """The root element. Raises XccosError, and nothing else, for bytes that are not bounded, plain, well-formed XML."""
    if len(body) > max_bytes:
        raise XccosError(f"{len(body)} bytes are more than the {max_bytes} allowed")
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except DefusedXmlException:
        raise XccosError("a DOCTYPE is not allowed") from None
    except ParseError as error:
        raise XccosError(f"not well-formed XML: {error}") from None
    return builder.close()


class _Builder:
    """What the parser reports, made into a tree as long as the bounds hold."""

    def __init__(self) -> None:
        self._root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag.removeprefix(f"{{{NAMESPACE}}}"), attributes)
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) == MAX_DEPTH:
            raise XccosError(f"more than {MAX_ELEMENTS} elements, or more than {MAX_DEPTH} inside one another")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._texts.append([])

    def data(self, text: str) -> None:
        self._texts[-1].append(text)

    def end(self, tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def close(self) -> Element:
        assert self._root is not None, "the parser has refused a document without a root"
        return self._root


def write_xml(element: Element) -> str:
    """The element as text that parses back to it; characters that XML cannot hold become U+FFFD.

    Element and attribute names are ours and are not checked.
    """
    parts: list[str] = []
    _write(element, parts)
    return "".join(parts)


def _write(element: Element, parts: list[str]) -> None:
    attributes = "".join([f' {name}="{_escaped(value, _ATTRIBUTE)}"' for name, value in element.attributes.items()])
    if not element.text and not element.children:
        parts.append(f"<{element.name}{attributes}/>")
        return
    parts.append(f"<{element.name}{attributes}>{_escaped(element.text, _TEXT)}")
    for child in element.children:
        _write(child, parts)
    parts.append(f"</{element.name}>")


def _escaped(text: str, more: dict[str, str]) -> str:
    return escape(printable(text), more)


def printable(text: str) -> str:
    """The text with whatever XML cannot hold, lone surrogates included, replaced by U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def written_size(element: Element) -> int:
    """Bytes that the element takes in an envelope."""
    return len(write_xml(element).encode())
