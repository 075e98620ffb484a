"""Which format a file has, by how it begins. CSV is never found out: only a mapping reads it."""

import re

from reconciliation.statements.model import Format

# Of a file, what is looked at; a bank's header before the first message of SWIFT is shorter.
HEAD_BYTES = 4 * 1024

_UTF8_MARK = b"\xef\xbb\xbf"
_CAMT = re.compile(rb"urn:iso:std:iso:20022:tech:xsd:camt\.05[234]\.")
_OFX = re.compile(rb"<\?OFX |<OFX>|OFXHEADER:")
_BAI2 = re.compile(rb"\s*01,[^\n]*,2/")
_MT940 = re.compile(rb"^:60[FM]:", re.MULTILINE)
_MT942 = re.compile(rb"^:(?:34F|13[DB]?):", re.MULTILINE)


def detected(head: bytes) -> Format | None:
    """The format of a file that begins so (`HEAD_BYTES` of it); None if it is none of them."""
    head = head.removeprefix(_UTF8_MARK)
    if _OFX.search(head):
        return Format.OFX
    if _CAMT.search(head):
        return Format.CAMT
    if _BAI2.match(head):
        return Format.BAI2
    if _MT940.search(head):
        return Format.MT940
    return Format.MT942 if _MT942.search(head) else None
