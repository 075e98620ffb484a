"""XML of strangers, by the expat of Python's standard library, with nothing but elements and texts.

A document type declaration ends the reading where it begins: before any entity could be declared,
so that none but XML's own five are ever expanded and nothing is ever fetched (ADR 49).
"""

from collections.abc import Iterator
from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.parsers.expat import ErrorString

from reconciliation.statements.model import Limits
from reconciliation.statements.refusal import FieldError, Reason
from reconciliation.statements.source import Source


class _Builder(TreeBuilder):
    """A builder that wants no document type. All else goes from expat to it without Python."""

    def doctype(self, _name: str, _public_id: str | None, _system_id: str | None) -> NoReturn:
        raise FieldError(
            Reason.FORBIDDEN_XML, "", "XML without a document type declaration was expected"
        )


class GrowingTree:
    """A tree of elements that grows by each chunk of a file, while its reader takes elements off.

    The reader looks between chunks, and not at each element: that is what makes large files quick.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self.is_complete = False
        self._source = source
        self._limits = limits
        self._pending_bytes = 0
        builder = _Builder()
        # The root of a file that is not yet whole is found in an element around it.
        self._around = builder.start("around", {})
        self._parser = XMLParser(target=builder)  # noqa: S314 - this module is the guard.

    def roots(self) -> Iterator[Element]:
        """The root, each time that more of the file is in it; the last time, `is_complete`.

        Raises FieldError for XML that is not well-formed, has a document type or is too large.
        """
        for chunk in self._source.chunks():
            self._feed(chunk)
            self._pending_bytes += len(chunk)
            if len(self._around):
                self._check_depth(self._around[0])
                yield self._around[0]
            if self._pending_bytes > self._limits.max_element_bytes:
                raise FieldError(
                    Reason.TOO_LARGE,
                    "",
                    f"elements of at most {self._limits.max_element_bytes} bytes were expected",
                )
        self._feed(None)
        self.is_complete = True
        yield self._around[0]

    def took(self) -> None:
        """The reader has taken finished elements off the tree."""
        self._pending_bytes = 0

    def _feed(self, chunk: bytes | None) -> None:
        """Bytes, or None for the end."""
        try:
            if chunk is None:
                self._parser.close()
            else:
                self._parser.feed(chunk)
        except ParseError as error:
            line, _ = error.position
            raise FieldError(
                Reason.UNREADABLE,
                "",
                f"well-formed XML was expected ({ErrorString(error.code)})",
                line,
            ) from None
        except (LookupError, ValueError):
            raise FieldError(
                Reason.ENCODING, "", "XML in an encoding of single bytes or Unicode was expected"
            ) from None

    def _check_depth(self, root: Element) -> None:
        """Of what is open; what is finished is looked at when it is taken."""
        depth, element = 1, root
        while len(element):
            depth, element = depth + 1, element[-1]
            if depth > self._limits.max_depth:
                raise too_deep(self._limits)


def check_depth(element: Element, depth: int, limits: Limits) -> None:
    """Raises FieldError if there are elements below the limit; `depth` is the element's own."""
    # As quick as most entries are small: so few elements cannot be so deep.
    if depth + len(list(element.iter())) <= limits.max_depth:
        return
    level = [element]
    while level:
        if depth > limits.max_depth:
            raise too_deep(limits)
        level = [child for node in level for child in node]
        depth += 1


def too_deep(limits: Limits) -> FieldError:
    """Elements within elements beyond the limit."""
    return FieldError(
        Reason.TOO_LARGE, "", f"elements of at most {limits.max_depth} levels were expected"
    )
