"""OFX as a tree of elements: SGML of 1.x, where values may have no end tags, and XML of 2.x."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from reconciliation.statements.model import Limits
from reconciliation.statements.refusal import FieldError, Reason
from reconciliation.statements.source import Source, decode
from reconciliation.statements.xml_guard import GrowingTree, check_depth, too_deep

_HEADER_LINE = re.compile(r"([A-Z]+):([A-Z0-9-]*)")
_BODY = "<OFX>"
# How far into a file the header may reach; that of 1.x has nine lines.
MAX_HEADER_CHARS = 1024
_TAG = re.compile(r"<(/?)([A-Z0-9.]{1,64})>([^<]*)")
# XML's declaration and OFX's own, which is a processing instruction.
_XML_HEADER = re.compile(
    rb"\s*<\?xml[^<>]*\?>\s*<\?OFX\s[^<>]*VERSION=[\"'](2[0-9]{2})[\"'][^<>]*\?>"
)
_CHARSETS = {
    "1252": "windows-1252",
    "ISO-8859-1": "iso-8859-1",
    "8859-1": "iso-8859-1",
    "UTF-8": "utf-8",
    "NONE": "ascii",
    "": "ascii",
}
_ESCAPES = {"&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&amp;": "&"}
_ESCAPE = re.compile("|".join(_ESCAPES))
# Values that we read: empty ones are not the beginning of an aggregate.
VALUES = frozenset(
    [
        "CODE",
        "CURDEF",
        "BANKID",
        "BRANCHID",
        "ACCTID",
        "ACCTTYPE",
        "DTSTART",
        "DTEND",
        "TRNTYPE",
        "DTPOSTED",
        "DTUSER",
        "DTAVAIL",
        "DTTRAN",
        "TRNAMT",
        "FITID",
        "CORRECTFITID",
        "CORRECTACTION",
        "SRVRTID",
        "CHECKNUM",
        "REFNUM",
        "NAME",
        "EXTDNAME",
        "MEMO",
        "CURSYM",
        "BALAMT",
        "DTASOF",
        "TRNUID",
    ]
)


@dataclass(slots=True)
class Node:
    """An element: a value with its text, or an aggregate with what is in it."""

    name: str
    line: int
    text: str = ""
    children: "list[Node]" = field(default_factory=list)

    def all_of(self, name: str) -> "Iterator[Node]":
        """Every child of that name."""
        return (child for child in self.children if child.name == name)

    def optional(self, name: str) -> "Node | None":
        """The child of that name. Raises FieldError if there are several."""
        found = list(self.all_of(name))
        if len(found) > 1:
            raise FieldError(Reason.REPEATED, name, "the element was expected once", found[1].line)
        return found[0] if found else None

    def required(self, name: str) -> "Node":
        """The child of that name. Raises FieldError if there is none."""
        found = self.optional(name)
        if found is None:
            raise FieldError(Reason.MISSING, name, "the element was expected", self.line)
        return found

    def value(self, name: str) -> str:
        """The text of a child; empty if there is none."""
        found = self.optional(name)
        return "" if found is None else found.text


def read_tree(source: Source, limits: Limits) -> tuple[str, Node]:
    """The version, such as 102 or 211, and the element OFX. Raises FieldError."""
    content = source.read()
    found = _XML_HEADER.match(content.removeprefix(b"\xef\xbb\xbf"))
    if found is not None:
        return found[1].decode(), _xml(content, limits)
    return _sgml(content, limits)


def _xml(content: bytes, limits: Limits) -> Node:
    tree = GrowingTree(Source(io.BytesIO(content), len(content)), limits)
    *_, root = tree.roots()
    check_depth(root, 1, limits)
    return _node(root)


def _node(element: Element) -> Node:
    children = [_node(child) for child in element]
    return Node(element.tag, 0, (element.text or "").strip(), children)


def _sgml(content: bytes, limits: Limits) -> tuple[str, Node]:
    # Names and values of the header are ASCII; so is where the body begins.
    head = content[:MAX_HEADER_CHARS].decode("latin-1")
    start = head.find(_BODY)
    header = dict(_HEADER_LINE.findall(head[: max(start, 0)]))
    version = header.get("VERSION", "")
    if start < 0 or header.get("OFXHEADER") != "100" or not re.fullmatch("1[0-9]{2}", version):
        raise FieldError(
            Reason.UNSUPPORTED, "OFXHEADER", "OFX of a version 1.x or 2.x was expected"
        )
    encoding = _encoding(header)
    body = decode(content, encoding)
    return version, _Sgml(body[body.index(_BODY) :], body.count("\n", 0, start) + 1, limits).read()


def _encoding(header: dict[str, str]) -> str:
    if header.get("COMPRESSION", "NONE") != "NONE" or header.get("SECURITY", "NONE") != "NONE":
        raise FieldError(Reason.UNSUPPORTED, "OFXHEADER", "neither compression nor security")
    if header.get("ENCODING") in ("UNICODE", "UTF-8"):
        return "utf-8"
    encoding = _CHARSETS.get(header.get("CHARSET", ""))
    if encoding is None or header.get("ENCODING") != "USASCII":
        raise FieldError(
            Reason.ENCODING, "CHARSET", f"one of {', '.join(filter(None, _CHARSETS))} was expected"
        )
    return encoding


class _Sgml:
    """Reads tags one after the other; an aggregate is what has an end tag and no text."""

    def __init__(self, body: str, line: int, limits: Limits) -> None:
        self._body = body
        self._line = line
        self._limits = limits
        self._ends = set(re.findall(r"</([A-Z0-9.]+)>", body))
        self._open: list[Node] = []
        self._last_value = ""

    def read(self) -> Node:
        """The element OFX."""
        at = 0
        root: Node | None = None
        while at < len(self._body):
            found = _TAG.match(self._body, at)
            if found is None or (root is not None and not self._open):
                raise FieldError(Reason.UNREADABLE, "", "a tag of OFX was expected", self._line)
            is_end, name, text = found.groups()
            if is_end:
                self._end(name, text)
            else:
                node = self._begin(name, text)
                root = root or node
            self._line += text.count("\n")
            at = found.end()
        if root is None or self._open:
            raise FieldError(Reason.MISSING, "/OFX", "the end tag was expected", self._line)
        return root

    def _begin(self, name: str, text: str) -> Node:
        value = _ESCAPE.sub(lambda escape: _ESCAPES[escape[0]], text.strip())
        node = Node(name, self._line, value)
        if self._open:
            self._open[-1].children.append(node)
        is_aggregate = not value and name not in VALUES and name in self._ends
        if is_aggregate:
            self._open.append(node)
            if len(self._open) > self._limits.max_depth:
                raise too_deep(self._limits)
        self._last_value = "" if is_aggregate else name
        return node

    def _end(self, name: str, text: str) -> None:
        if text.strip():
            raise FieldError(Reason.UNREADABLE, "", "a tag of OFX was expected", self._line)
        if name == self._last_value:
            self._last_value = ""
        elif self._open and self._open[-1].name == name:
            self._open.pop()
            self._last_value = ""
        else:
            raise FieldError(
                Reason.UNREADABLE, "", "the end tag of what is open was expected", self._line
            )
