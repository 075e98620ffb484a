"""The door to the readers: a file, what it is declared to be, and what is expected of it."""

from dataclasses import dataclass
from typing import BinaryIO

from reconciliation.statements.bai2 import read_bai2
from reconciliation.statements.camt import read_camt
from reconciliation.statements.csv_mapping import CsvMapping
from reconciliation.statements.csv_reader import read_csv
from reconciliation.statements.model import Expected, Format, Limits, Statement
from reconciliation.statements.ofx import read_ofx
from reconciliation.statements.proof import prove
from reconciliation.statements.source import Source, is_encoding
from reconciliation.statements.swift import read_swift

DEFAULT_ENCODING = "utf-8"
# Formats whose files do not say their encoding; camt and OFX do, and a CSV's mapping does.
_WITHOUT_ENCODING = (Format.MT940, Format.MT942, Format.BAI2)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file is: told by whoever brings it. Raises ValueError if that contradicts itself.

    `encoding` is for MT940, MT942 and BAI2, `mapping` for CSV.
    """

    file_format: Format
    encoding: str = ""
    mapping: CsvMapping | None = None

    def __post_init__(self) -> None:
        if (self.mapping is not None) != (self.file_format is Format.CSV):
            raise ValueError("a mapping is for CSV, which needs one")
        if self.encoding and self.file_format not in _WITHOUT_ENCODING:
            raise ValueError(f"{self.file_format.value} says its encoding itself")
        if self.encoding and not is_encoding(self.encoding):
            raise ValueError("the encoding is not known")


def read_statements(
    file: BinaryIO, declared: Declared, expected: Expected, limits: Limits | None = None
) -> tuple[Statement, ...]:
    """All statements of a file, in its order: all proved, or none.

    Raises StatementRefusedError, with reason, place and what was expected, if anything in the file
    is not as it has to be.
    """
    return prove(_read(file, declared, expected, limits or Limits()), expected)


def _read(
    file: BinaryIO, declared: Declared, expected: Expected, limits: Limits
) -> list[Statement]:
    file_format = declared.file_format
    encoding = declared.encoding or DEFAULT_ENCODING
    is_xml = file_format is Format.CAMT
    source = Source(file, limits.max_xml_bytes if is_xml else limits.max_text_bytes)
    if file_format is Format.CAMT:
        return read_camt(source, limits)
    if file_format is Format.BAI2:
        return read_bai2(source, limits, encoding)
    if file_format is Format.OFX:
        return read_ofx(source, limits)
    if file_format is Format.CSV:
        assert declared.mapping is not None
        return read_csv(source, limits, declared.mapping, expected.accounts)
    return read_swift(source, limits, file_format, encoding)
