"""Writes camt messages as ISO 20022's message definitions have them, element by element."""

from xml.sax.saxutils import escape

from reconciliation.statements.model import EntryStatus, Kind
from tests.reconciliation.statements.drawing import Drawn, Line, Part

ROOTS = {
    Kind.BOOKED: ("053", "BkToCstmrStmt", "Stmt", "StmtPgntn"),
    Kind.INTERIM: ("052", "BkToCstmrAcctRpt", "Rpt", "RptPgntn"),
    Kind.NOTIFICATION: ("054", "BkToCstmrDbtCdtNtfctn", "Ntfctn", "NtfctnPgntn"),
}
CODES = {
    EntryStatus.BOOKED: "BOOK",
    EntryStatus.PENDING: "PDNG",
    EntryStatus.INFORMATION: "INFO",
}
# Since which version a status has an element of its own, and parties are in another.
STATUS_ELEMENT_SINCE = 8
PARTY_ELEMENT_SINCE = 8
TRANSACTION_AMOUNT_SINCE = 3


def version_of(kind: Kind, version: int) -> str:
    return f"camt.{ROOTS[kind][0]}.001.{version:02}"


def write_camt(drawn: list[Drawn], version: int = 8, prefix: str = "") -> bytes:
    """A message of statements; `prefix` goes before every element's name."""
    kind = drawn[0].kind
    _, root, _, _ = ROOTS[kind]
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{version_of(kind, version)}"
    header = el("GrpHdr", el("MsgId", "M1"), el("CreDtTm", "2026-11-30T20:00:00+01:00"))
    body = el("Document", el(root, header, *(_statement(each, version) for each in drawn)))
    if prefix:
        body = body.replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
        body = body.replace("Document>", f'Document xmlns:{prefix}="{namespace}">', 1)
    else:
        body = body.replace("<Document>", f'<Document xmlns="{namespace}">', 1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode()


def el(name: str, *content: str, **attributes: str) -> str:
    """An element, or nothing if there is nothing in it."""
    text = "".join(content)
    if not text:
        return ""
    inside = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{inside}>{text}</{name}>"


def _statement(drawn: Drawn, version: int) -> str:
    _, _, name, pages = ROOTS[drawn.kind]
    identification = (
        el("IBAN", drawn.account) if drawn.is_iban else el("Othr", el("Id", drawn.account))
    )
    period = ""
    if drawn.period:
        period = el(
            "FrToDt",
            el("FrDtTm", f"{drawn.period[0]}T00:00:00"),
            el("ToDtTm", f"{drawn.period[1]}T23:59:59"),
        )
    page = ""
    if drawn.page is not None:
        page = el(pages, el("PgNb", str(drawn.page)), el("LastPgInd", "true"))
    balances = ""
    if drawn.kind is Kind.BOOKED:
        balances = _balance(drawn, "OPBD", drawn.opening, str(drawn.opened)) + _balance(
            drawn, "CLBD", drawn.closing, str(drawn.closed)
        )
    return el(
        name,
        el("Id", escape(drawn.statement_id)),
        page,
        el("ElctrncSeqNb", "" if drawn.number is None else str(drawn.number)),
        el("CreDtTm", "2026-11-30T20:00:00Z"),
        period,
        el("Acct", el("Id", identification), el("Ccy", drawn.currency)),
        balances,
        _summary(drawn),
        *(_entry(drawn, line, version) for line in drawn.lines),
        el(f"Addtl{name}Inf", escape(drawn.note)),
    )


def _balance(drawn: Drawn, code: str, amount: int, day: str) -> str:
    return el(
        "Bal",
        el("Tp", el("CdOrPrtry", el("Cd", code))),
        el("Amt", drawn.major(amount), Ccy=drawn.currency),
        el("CdtDbtInd", _side(amount)),
        el("Dt", el("Dt", day)),
    )


def _summary(drawn: Drawn) -> str:
    credited = [line.amount for line in drawn.lines if line.is_credit]
    debited = [-line.amount for line in drawn.lines if not line.is_credit]
    return el(
        "TxsSummry",
        el(
            "TtlNtries",
            el("NbOfNtries", str(len(drawn.lines))),
            el("Sum", drawn.major(sum(credited) + sum(debited))),
        ),
        el(
            "TtlCdtNtries",
            el("NbOfNtries", str(len(credited))),
            el("Sum", drawn.major(sum(credited))),
        ),
        el(
            "TtlDbtNtries",
            el("NbOfNtries", str(len(debited))),
            el("Sum", drawn.major(sum(debited))),
        ),
    )


def _entry(drawn: Drawn, line: Line, version: int) -> str:
    code = CODES[line.status]
    parts = line.parts or (Part(line.amount, "", line.end_to_end_id, line.remittance, line.name),)
    batch = el("Btch", el("NbOfTxs", str(len(parts)))) if line.parts else ""
    return el(
        "Ntry",
        el("NtryRef", escape(line.customer_reference)),
        el("Amt", drawn.major(line.amount), Ccy=drawn.currency),
        el("CdtDbtInd", _side(line.amount)),
        el("RvslInd", "true" if line.is_reversal else ""),
        el("Sts", el("Cd", code) if version >= STATUS_ELEMENT_SINCE else code),
        el("BookgDt", el("Dt", str(line.booked))),
        el("ValDt", el("Dt", str(line.value or ""))),
        el("AcctSvcrRef", escape(line.bank_reference)),
        el("BkTxCd", _code(line.code)),
        el(
            "NtryDtls",
            batch,
            *(_transaction(drawn, part, version, is_reversal=line.is_reversal) for part in parts),
        ),
        el("AddtlNtryInf", escape(line.information)),
    )


def _code(code: str) -> str:
    if code.count("/") != 2:
        return el("Prtry", el("Cd", escape(code)))
    domain, family, sub_family = code.split("/")
    return el("Domn", el("Cd", domain), el("Fmly", el("Cd", family), el("SubFmlyCd", sub_family)))


def _transaction(drawn: Drawn, part: Part, version: int, *, is_reversal: bool) -> str:
    amount = el("Amt", drawn.major(part.amount), Ccy=drawn.currency)
    has_amount = version >= TRANSACTION_AMOUNT_SINCE
    if not has_amount:
        amount = el("AmtDtls", el("TxAmt", amount))
    # A credit comes from a debtor, and so does what is taken back of it, which is a debit.
    other = "Dbtr" if (part.amount >= 0) != is_reversal else "Cdtr"
    own = "Cdtr" if other == "Dbtr" else "Dbtr"
    return el(
        "TxDtls",
        el(
            "Refs",
            el("AcctSvcrRef", escape(part.reference)),
            el("EndToEndId", escape(part.end_to_end_id)),
        ),
        amount,
        el("CdtDbtInd", _side(part.amount)) if has_amount else "",
        el(
            "RltdPties",
            _party(other, part.name, version),
            _party(own, "The Holder", version),
            el(f"{own}Acct", el("Id", el("IBAN", drawn.account))),
        ),
        el("RmtInf", *(el("Ustrd", escape(line)) for line in part.remittance.split("\n"))),
    )


def _party(role: str, name: str, version: int) -> str:
    inner = el("Nm", escape(name))
    return el(role, el("Pty", inner) if version >= PARTY_ELEMENT_SINCE else inner)


def _side(amount: int) -> str:
    return "CRDT" if amount >= 0 else "DBIT"
