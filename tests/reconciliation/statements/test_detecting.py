"""Which format a file has, by how it begins."""

import pytest

from reconciliation.statements.detecting import HEAD_BYTES, detected
from reconciliation.statements.model import Format, Kind
from tests.reconciliation.statements.bai2_writer import write_bai2
from tests.reconciliation.statements.camt_writer import write_camt
from tests.reconciliation.statements.drawing import TODAY, Drawn, Line
from tests.reconciliation.statements.ofx_writer import Writer
from tests.reconciliation.statements.swift_writer import write_swift

LINE = Line(5, remittance="01,2 <OFX> :60F:", code="NTRF")
DRAWN = Drawn("DE1", "EUR", 0, TODAY, 5, TODAY, (LINE,), statement_id="S", number=1)
INTERIM = Drawn(
    "DE1", "EUR", 0, TODAY, 5, TODAY, (Line(5, code="NTRF"),), number=1, kind=Kind.INTERIM
)
BAI2 = Drawn("DE1", "EUR", 0, TODAY, 5, TODAY, (Line(5, code="195"),), statement_id="S")


@pytest.mark.parametrize(
    ("content", "file_format"),
    [
        (write_camt([DRAWN]), Format.CAMT),
        (write_camt([INTERIM]), Format.CAMT),
        (write_camt([DRAWN], prefix="n"), Format.CAMT),
        (b"\xef\xbb\xbf" + write_camt([DRAWN]), Format.CAMT),
        (write_swift([INTERIM]), Format.MT942),
        (write_swift([INTERIM], in_blocks=True), Format.MT942),
        (write_bai2([BAI2]), Format.BAI2),
        (Writer(is_xml=True).write([BAI2]), Format.OFX),
        (Writer(is_xml=False).write([BAI2]), Format.OFX),
        (b"Day;Amount\r\n2026-11-30;5\r\n", None),
        (b"", None),
        (b"<?xml version='1.0'?><Document/>", None),
        (b"01,a,b", None),
    ],
)
def test_a_file_is_known_by_its_beginning(content: bytes, file_format: Format | None) -> None:
    assert detected(content[:HEAD_BYTES]) is file_format


@pytest.mark.parametrize("in_blocks", [False, True])
def test_mt940_is_known_by_its_opening_balance(in_blocks: bool) -> None:
    plain = Drawn("DE1", "EUR", 0, TODAY, 5, TODAY, (Line(5, code="NTRF"),), number=1)
    content = write_swift([plain], in_blocks=in_blocks)
    assert detected(content[:HEAD_BYTES]) is Format.MT940
