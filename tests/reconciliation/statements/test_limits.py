"""Limits of files and hostile XML: what is at a limit is taken, what is above it is refused."""

import re
from dataclasses import replace
from xml.sax.saxutils import escape

import pytest

from reconciliation.statements.amounts import MAX_DIGITS
from reconciliation.statements.camt_elements import MAX_NUMBER_DIGITS
from reconciliation.statements.model import MAX_MINOR_UNITS, Format, Kind, Limits
from reconciliation.statements.ofx_elements import MAX_HEADER_CHARS
from reconciliation.statements.reading import Declared
from reconciliation.statements.refusal import Reason
from reconciliation.statements.source import CHUNK_BYTES
from reconciliation.statements.swift import MAX_LINES_OF_61
from tests.reconciliation.statements.bai2_writer import write_bai2
from tests.reconciliation.statements.camt_writer import write_camt
from tests.reconciliation.statements.csv_writer import write_csv
from tests.reconciliation.statements.drawing import Drawn
from tests.reconciliation.statements.ofx_writer import Writer
from tests.reconciliation.statements.refusing import MAPPING, SAMPLE, SIMPLE, refusal, take
from tests.reconciliation.statements.swift_writer import write_swift

CREDITS = tuple(line for line in SIMPLE.lines if line.is_credit) * 4
FOUR = replace(SIMPLE, lines=CREDITS, closing=SIMPLE.opening + sum(c.amount for c in CREDITS))
FOUR_BAI2 = replace(FOUR, lines=tuple(replace(line, code="165") for line in CREDITS))


def contents(drawn: Drawn) -> dict[Format, bytes]:
    """The statement in every format."""
    bai2 = replace(drawn, lines=tuple(replace(line, code="165") for line in drawn.lines))
    return {
        Format.CAMT: write_camt([drawn]),
        Format.MT940: write_swift([drawn]),
        Format.MT942: write_swift([replace(drawn, kind=Kind.INTERIM)]),
        Format.BAI2: write_bai2([bai2]),
        Format.OFX: Writer(is_xml=False).write([drawn]),
        Format.CSV: write_csv(drawn, MAPPING),
    }


CONTENTS = contents(FOUR)


def check_edge(content: bytes, file_format: Format, name: str, edge: int) -> None:
    """The file is taken with the limit at the edge, and refused with it one lower."""
    assert take(content, file_format, limits=replace(Limits(), **{name: edge}))
    error = refusal(content, file_format, limits=replace(Limits(), **{name: edge - 1}))
    assert error.reason is Reason.TOO_LARGE
    assert str(edge - 1) in str(error)


@pytest.mark.parametrize("file_format", CONTENTS)
def test_bytes_of_a_file(file_format: Format) -> None:
    content = CONTENTS[file_format]
    name = "max_xml_bytes" if file_format is Format.CAMT else "max_text_bytes"
    check_edge(content, file_format, name, len(content))


@pytest.mark.parametrize("file_format", CONTENTS)
def test_entries_of_a_file(file_format: Format) -> None:
    check_edge(CONTENTS[file_format], file_format, "max_entries", 4)


@pytest.mark.parametrize("file_format", [Format.CAMT, Format.MT940, Format.BAI2, Format.OFX])
def test_statements_of_a_file(file_format: Format) -> None:
    empty = replace(SIMPLE, lines=(), closing=SIMPLE.opening)
    content = {
        Format.CAMT: write_camt([empty] * 3),
        Format.MT940: write_swift([empty] * 3),
        Format.BAI2: write_bai2([empty] * 3),
        Format.OFX: Writer(is_xml=True).write([empty]),
    }[file_format]
    check_edge(content, file_format, "max_statements", 1 if file_format is Format.OFX else 3)


def test_entries_are_those_of_all_statements() -> None:
    for file_format, content in (
        (Format.CAMT, write_camt([FOUR, FOUR])),
        (Format.MT940, write_swift([FOUR, FOUR])),
        (Format.BAI2, write_bai2([FOUR_BAI2, FOUR_BAI2])),
    ):
        check_edge(content, file_format, "max_entries", 8)


def test_transactions_of_batches() -> None:
    check_edge(write_camt([SAMPLE]), Format.CAMT, "max_details", 2)


@pytest.mark.parametrize("file_format", [Format.MT940, Format.BAI2])
def test_characters_of_a_line(file_format: Format) -> None:
    content = CONTENTS[file_format]
    longest = max(map(len, content.decode().splitlines()))
    check_edge(content, file_format, "max_line_chars", longest)


def nested(levels: int) -> str:
    return "<Deep>" * levels + "</Deep>" * levels


@pytest.mark.parametrize(
    ("before", "depth"),
    # Document and the message are above a header; a statement and its entries are below.
    [("</GrpHdr>", 3), ("<Acct>", 3), ("</Ntry>", 4), ("</Stmt>", 3)],
)
@pytest.mark.parametrize("filler", ["", " " * (CHUNK_BYTES - 40)], ids=["one chunk", "two"])
def test_levels_of_elements_in_camt(before: str, depth: int, filler: str) -> None:
    levels = 40 if filler else 80
    content = write_camt([SAMPLE]).decode().replace(before, filler + nested(levels) + before, 1)
    check_edge(content.encode(), Format.CAMT, "max_depth", depth + levels)


def test_levels_of_elements_in_ofx() -> None:
    for is_xml in (False, True):
        content = Writer(is_xml=is_xml).write([SIMPLE]).decode()
        # OFX, BANKMSGSRSV1, STMTTRNRS, STMTRS, BANKTRANLIST, STMTTRN, and in XML each value.
        deepest = 7 if is_xml else 6
        check_edge(content.encode(), Format.OFX, "max_depth", deepest)
        deep = "<A.B>" * 50 + "</A.B>" * 50
        content = content.replace("</STMTTRN>", f"{deep}</STMTTRN>", 1)
        check_edge(content.encode(), Format.OFX, "max_depth", 56)


def test_bytes_of_an_element() -> None:
    # Chunks are looked at as wholes: the limit holds to a chunk.
    chunks = 4
    text = "y" * (chunks * CHUNK_BYTES)
    content = write_camt([replace(SAMPLE, note=escape(text))])
    limits = replace(Limits(), max_element_bytes=(chunks + 2) * CHUNK_BYTES)
    (statement,) = take(content, Format.CAMT, limits=limits)
    assert statement.note == text
    limits = replace(Limits(), max_element_bytes=(chunks - 1) * CHUNK_BYTES)
    assert refusal(content, Format.CAMT, limits=limits).reason is Reason.TOO_LARGE


def test_a_large_statement_is_taken_though_each_element_is_small() -> None:
    lines = SAMPLE.lines[:1] * 400
    drawn = replace(SAMPLE, lines=lines, closing=SAMPLE.opening + 400 * lines[0].amount)
    content = write_camt([drawn])
    assert len(content) > 4 * CHUNK_BYTES
    limits = replace(Limits(), max_element_bytes=2 * CHUNK_BYTES)
    assert len(take(content, Format.CAMT, limits=limits)[0].entries) == 400


def test_the_largest_amounts() -> None:
    for amount, is_taken in ((MAX_MINOR_UNITS, True), (MAX_MINOR_UNITS + 1, False)):
        line = replace(SIMPLE.lines[0], amount=amount)
        drawn = replace(SIMPLE, lines=(line,), opening=0, closing=amount)
        expected = drawn.expected(with_opening=True)
        for file_format, content in contents(drawn).items():
            if file_format in (Format.MT940, Format.MT942):
                # SWIFT's amounts have at most 15 characters.
                continue
            if is_taken:
                assert take(content, file_format, expected)[0].entries[0].amount_minor == amount
            else:
                reason = refusal(content, file_format, expected).reason
                assert reason in (Reason.TOO_LARGE, Reason.INVALID)


def test_digits_of_an_amount_and_of_a_number() -> None:
    content = write_camt([SAMPLE]).decode()
    # The sum of the entries stands there, too: it is as long.
    for old, most, new in (
        (">12.34<", MAX_DIGITS, ">12.34{}<"),
        (">17<", MAX_NUMBER_DIGITS, ">17{}<"),
    ):
        assert old in content
        zeros = "0" * (most - sum(map(str.isdigit, old)))
        assert take(content.replace(old, new.format(zeros)).encode(), Format.CAMT)
        error = refusal(content.replace(old, new.format(f"{zeros}0")).encode(), Format.CAMT)
        assert error.reason is Reason.INVALID


def test_characters_of_the_header_of_ofx() -> None:
    content = Writer(is_xml=False).write([SIMPLE]).decode()
    room = MAX_HEADER_CHARS - content.index("<OFX>") - len("<OFX>")
    for more, is_taken in ((room, True), (room + 1, False)):
        padded = content.replace("<OFX>", " " * more + "<OFX>").encode()
        if is_taken:
            assert take(padded, Format.OFX)
        else:
            assert refusal(padded, Format.OFX).reason is Reason.UNSUPPORTED


def test_lines_of_an_entry_of_swift() -> None:
    content = write_swift([SIMPLE], ending="\n").decode()
    end = "//4711\n"
    assert end in content
    most = content.replace(end, end + "more\n" * (MAX_LINES_OF_61 - 1))
    assert take(most.encode(), Format.MT940)[0].entries[0].information == "more"
    beyond = content.replace(end, end + "more\n" * MAX_LINES_OF_61)
    assert refusal(beyond.encode(), Format.MT940).reason is Reason.INVALID


def with_doctype(content: bytes) -> bytes:
    return re.sub(rb"<(Document|OFX)\b", rb"<!DOCTYPE \1>\n<\1", content, count=1)


@pytest.mark.parametrize("file_format", [Format.CAMT, Format.OFX])
def test_a_document_type_is_refused(file_format: Format) -> None:
    content = {
        Format.CAMT: write_camt([SAMPLE]),
        Format.OFX: Writer(is_xml=True).write([SIMPLE]),
    }[file_format]
    assert take(content, file_format)
    error = refusal(with_doctype(content), file_format)
    assert error.reason is Reason.FORBIDDEN_XML
    # In whatever encoding, and whatever comes before it.
    other = with_doctype(content).decode().replace("UTF-8", "UTF-16")
    if file_format is Format.CAMT:
        error = refusal(other.encode("utf-16"), file_format)
        assert error.reason is Reason.FORBIDDEN_XML


def test_entities_that_nothing_declares_are_refused() -> None:
    content = write_camt([SAMPLE]).replace(b"Jane", b"&jane;")
    assert refusal(content, Format.CAMT).reason is Reason.UNREADABLE


def test_instructions_and_comments_are_passed_over() -> None:
    content = write_camt([SAMPLE]).replace(b"<Acct>", b"<?note text?><!-- text --><Acct>")
    assert take(content, Format.CAMT)


def test_utf_16_is_read() -> None:
    content = write_camt([SAMPLE]).decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert take(content, Format.CAMT)[0].entries[0].counterparty == SAMPLE.lines[0].name


def test_declarations_that_contradict_themselves() -> None:
    for file_format, encoding, mapping in (
        (Format.CSV, "", None),
        (Format.CAMT, "", MAPPING),
        (Format.CAMT, "utf-8", None),
        (Format.MT940, "no such", None),
        (Format.BAI2, "hex", None),
    ):
        with pytest.raises(ValueError, match=r"."):
            Declared(file_format, encoding, mapping)
    assert Declared(Format.MT940, "latin-1").encoding == "latin-1"
