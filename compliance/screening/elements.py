"""Lists in XML, read an element at a time: of a document only what is being looked at is kept.

The standard library's expat does the parsing. A document type is refused before anything in it is
read, since lists have none and everything that grows or reaches elsewhere is declared there.
"""

from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from compliance.screening.entries import BrokenListError

CHUNK_BYTES = 64 * 1024
MAX_RECORDS = 500_000
# Of one record: a party has some hundred.
MAX_ELEMENTS_PER_RECORD = 20_000
MAX_TEXT_CHARACTERS_PER_RECORD = 1_000_000
MAX_DEPTH = 64


def records(
    name: str,
    content: bytes,
    root: str,
    wanted: Collection[str],
    max_records: int = MAX_RECORDS,
) -> Iterator[Element]:
    """Every element of the wanted names with all in it, in the document's order, without prefixes.

    Raises `BrokenListError` for what is no whole XML document of this root, or beyond a limit.
    """
    if not content.strip():
        raise BrokenListError(f"{name} is empty")
    reading = _Reading(name, root, frozenset(wanted))
    for start in range(0, len(content), CHUNK_BYTES):
        reading.feed(content[start : start + CHUNK_BYTES], is_last=False)
        yield from reading.taken(max_records)
    reading.feed(b"", is_last=True)
    yield from reading.taken(max_records)


def text_of(element: Element, path: str) -> str:
    """The text at a path below an element, with white space as one space, or empty."""
    return " ".join((element.findtext(path) or "").split())


class _Reading:
    def __init__(self, name: str, root: str, wanted: frozenset[str]) -> None:
        self._name = name
        self._root = root
        self._wanted = wanted
        self._depth = 0
        self._builder: TreeBuilder | None = None
        self._record_depth = 0
        self._elements = self._characters = self._count = 0
        self._done: list[Element] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def feed(self, content: bytes, *, is_last: bool) -> None:
        try:
            self._parser.Parse(content, is_last)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise BrokenListError(f"{self._name} line {error.lineno}: {what}") from error

    def taken(self, max_records: int) -> Iterator[Element]:
        """The records that were read since the last time."""
        self._count += len(self._done)
        if self._count > max_records:
            raise BrokenListError(f"{self._name} has more than {max_records} records")
        done, self._done = self._done, []
        yield from done

    def _doctype(self, *_: object) -> None:
        raise self._broken("it has a document type, which no list has")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if self._depth == 0 and tag != self._root:
            raise self._broken(f"it begins with <{tag[:64]}>, not <{self._root}>")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._broken(f"elements are nested more than {MAX_DEPTH} deep")
        if self._builder is None and tag in self._wanted:
            self._builder = TreeBuilder()
            self._record_depth = self._depth
            self._elements = self._characters = 0
        if self._builder is not None:
            self._elements += 1
            if self._elements > MAX_ELEMENTS_PER_RECORD:
                raise self._broken(f"a record has more than {MAX_ELEMENTS_PER_RECORD} elements")
            self._builder.start(tag, attributes)

    def _end(self, tag: str) -> None:
        if self._builder is not None:
            self._builder.end(tag.rpartition(":")[2])
            if self._depth == self._record_depth:
                self._done.append(self._builder.close())
                self._builder = None
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._builder is not None:
            self._characters += len(text)
            if self._characters > MAX_TEXT_CHARACTERS_PER_RECORD:
                raise self._broken(
                    f"a record has more than {MAX_TEXT_CHARACTERS_PER_RECORD} characters"
                )
            self._builder.data(text)

    def _broken(self, what: str) -> BrokenListError:
        return BrokenListError(f"{self._name} line {self._parser.CurrentLineNumber}: {what}")
