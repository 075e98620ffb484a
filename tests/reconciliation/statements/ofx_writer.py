"""Writes OFX as its specification has it: 1.0.2 in SGML, 2.1.1 in XML."""

from reconciliation.statements.model import EntryStatus
from tests.reconciliation.statements.drawing import Drawn, Line

SGML_HEADER = (
    "OFXHEADER:100\r\nDATA:OFXSGML\r\nVERSION:102\r\nSECURITY:NONE\r\nENCODING:USASCII\r\n"
    "CHARSET:1252\r\nCOMPRESSION:NONE\r\nOLDFILEUID:NONE\r\nNEWFILEUID:NONE\r\n\r\n"
)
XML_HEADER = (
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
    '<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>\n'
)


class Writer:
    """`closed` writes end tags of values, as XML has to and SGML may."""

    def __init__(self, *, is_xml: bool, closed: bool = True, mark: str = ".") -> None:
        self._is_xml = is_xml
        self._closed = closed or is_xml
        self._mark = mark

    def write(self, drawn: list[Drawn]) -> bytes:
        statements = "".join(self._response(each) for each in drawn)
        sign_on = self._all("SONRS", self._all("STATUS", self._value("CODE", "0")))
        body = self._all(
            "OFX",
            self._all("SIGNONMSGSRSV1", sign_on),
            self._all("BANKMSGSRSV1", statements),
        )
        if self._is_xml:
            return (XML_HEADER + body).encode()
        return (SGML_HEADER + body).encode("cp1252")

    def _all(self, name: str, *content: str) -> str:
        return f"<{name}>\n{''.join(content)}</{name}>\n"

    def _value(self, name: str, value: str) -> str:
        if not value:
            return ""
        escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"<{name}>{escaped}</{name}>\n" if self._closed else f"<{name}>{escaped}\n"

    def _signed(self, drawn: Drawn, minor: int) -> str:
        return ("-" if minor < 0 else "") + drawn.major(minor).replace(".", self._mark)

    def _response(self, drawn: Drawn) -> str:
        account = self._value("BANKID", "BANK1") + self._value("ACCTID", drawn.account)
        period = drawn.period or (drawn.opened, drawn.closed)
        booked = [line for line in drawn.lines if line.status is EntryStatus.BOOKED]
        pending = [line for line in drawn.lines if line.status is EntryStatus.PENDING]
        return self._all(
            "STMTTRNRS",
            self._value("TRNUID", "0"),
            self._all("STATUS", self._value("CODE", "0"), self._value("SEVERITY", "INFO")),
            self._all(
                "STMTRS",
                self._value("CURDEF", drawn.currency),
                self._all("BANKACCTFROM", account, self._value("ACCTTYPE", "CHECKING")),
                self._all(
                    "BANKTRANLIST",
                    self._value("DTSTART", f"{period[0]:%Y%m%d}"),
                    self._value("DTEND", f"{period[1]:%Y%m%d}235959.000[+1:CET]"),
                    *(self._entry(drawn, line) for line in booked),
                ),
                self._all(
                    "BANKTRANLISTP",
                    self._value("DTASOF", f"{drawn.closed:%Y%m%d}"),
                    *(self._entry(drawn, line) for line in pending),
                )
                if pending
                else "",
                self._all(
                    "LEDGERBAL",
                    self._value("BALAMT", self._signed(drawn, drawn.closing)),
                    self._value("DTASOF", f"{drawn.closed:%Y%m%d}120000"),
                ),
            ),
        )

    def _entry(self, drawn: Drawn, line: Line) -> str:
        is_booked = line.status is EntryStatus.BOOKED
        return self._all(
            "STMTTRN" if is_booked else "STMTTRNP",
            self._value("TRNTYPE", line.code),
            self._value("DTPOSTED" if is_booked else "DTTRAN", f"{line.booked:%Y%m%d}120000"),
            self._value("DTAVAIL", f"{line.value:%Y%m%d}" if line.value else ""),
            self._value("TRNAMT", self._signed(drawn, line.amount)),
            self._value("FITID", line.bank_reference),
            self._value("CHECKNUM", line.customer_reference),
            self._value("NAME", line.name),
            self._value("MEMO", line.remittance),
        )
