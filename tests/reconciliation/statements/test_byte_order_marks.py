"""The byte order mark that programs on Windows put before a text in UTF-8 is no part of it."""

import re
from dataclasses import replace

import pytest

from reconciliation.statements.model import Format
from reconciliation.statements.refusal import Reason
from tests.reconciliation.statements.camt_writer import write_camt
from tests.reconciliation.statements.refusing import SAMPLE, SIMPLE, refusal, take
from tests.reconciliation.statements.swift_writer import write_swift
from tests.reconciliation.statements.test_broken_files import BAI2, CSV, OFX, OFX_XML

MARK = b"\xef\xbb\xbf"
# Without the column that is not read: the mark is in front of a heading that is.
PLAIN_CSV = re.sub(r'^"(Not read|x)";', "", CSV, flags=re.MULTILINE)
FILES = [
    (Format.CAMT, write_camt([SAMPLE])),
    (Format.MT940, write_swift([SIMPLE])),
    (Format.BAI2, BAI2.encode()),
    (Format.OFX, OFX.encode()),
    (Format.OFX, OFX_XML.encode()),
    (Format.CSV, PLAIN_CSV.encode()),
]


@pytest.mark.parametrize(("file_format", "content"), FILES)
def test_a_file_says_the_same_with_the_mark(file_format: Format, content: bytes) -> None:
    def taken(content: bytes) -> list[object]:
        return [replace(statement, file_sha256=b"") for statement in take(content, file_format)]

    assert taken(MARK + content) == taken(content) != []


def test_a_mark_elsewhere_is_an_ordinary_character() -> None:
    assert refusal(MARK + MARK + BAI2.encode(), Format.BAI2).reason is Reason.UNREADABLE
