"""The files that a bank offers of a statement."""

from enum import StrEnum

from sandbox.twin_bank.bai2 import write_bai2
from sandbox.twin_bank.camt import write_camt
from sandbox.twin_bank.csv_file import write_csv
from sandbox.twin_bank.mt940 import write_mt940
from sandbox.twin_bank.statement import Statement


class FileFormat(StrEnum):
    """As admin URLs name them. camt.052 is for the day that is not over, the others are not."""

    CAMT_053 = "camt.053"
    CAMT_052 = "camt.052"
    MT940 = "MT940"
    BAI2 = "BAI2"
    CSV = "CSV"


CONTENT_TYPES = {
    FileFormat.CAMT_053: "application/xml",
    FileFormat.CAMT_052: "application/xml",
    FileFormat.MT940: "text/plain",
    FileFormat.BAI2: "text/plain",
    FileFormat.CSV: "text/csv",
}


def formats_of(statement: Statement) -> list[FileFormat]:
    """In what a statement is offered: a CSV has its account in its rows, and none without them."""
    if not statement.is_final:
        return [FileFormat.CAMT_052]
    return [
        each
        for each in FileFormat
        if each is not FileFormat.CAMT_052 and (each is not FileFormat.CSV or statement.entries)
    ]


def write(statement: Statement, file_format: FileFormat) -> bytes:
    """The file. Raises ValueError for a format that it is not offered in."""
    if file_format not in (offered := formats_of(statement)):
        raise ValueError(f"{statement.day} is offered as {', '.join(offered)}")
    match file_format:
        case FileFormat.MT940:
            return write_mt940(statement)
        case FileFormat.BAI2:
            return write_bai2(statement)
        case FileFormat.CSV:
            return write_csv(statement)
        case _:
            return write_camt(statement)
