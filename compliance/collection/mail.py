"""A notice as an e-mail: pure.

It says in plain words what Stripe wants and what to hand in, and nothing of why an account may be
looked at (no tipping off): only the guidance of known fields and codes, never Stripe's own words,
names, amounts or states. It has no link to Stripe, which would be a secret, but the address of a
page of the operator's, where the merchant signs in.
"""

from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from compliance.accounts.guidance import guide
from compliance.accounts.requirements import Requirement
from compliance.collection.rules import TO_MERCHANT, NoticeKind, Told
from compliance.collection.store import Notice

# Every server takes seven bits.
_POLICY = SMTP.clone(cte_type="7bit")
_SUBJECTS = {
    NoticeKind.FIRST: "Stripe needs information about your account",
    NoticeKind.REMINDER: "Reminder: Stripe needs information about your account",
    NoticeKind.CHANGED: "What Stripe needs about your account has changed",
    NoticeKind.ATTEMPTS_LOW: "A merchant's information was refused several times",
}
# What is not known here may be anything: Stripe's page says it to whom it concerns.
_UNKNOWN = ("Stripe needs more information.", "Stripe's page says what to hand in.")
_UNKNOWN_ERROR = ("What was handed in could not be used.", "Please hand it in again.")
_LOW = (
    "What the merchant handed in for the following was refused several times. It is not asked for"
    " it again, lest its attempts run out. Please look at it together."
)


def compose(
    notice: Notice, *, merchant_address: str, operator_address: str, sender: str, page_url: str
) -> EmailMessage:
    """The message; to the operator if it is for nobody else or the merchant has no address."""
    told = notice.told
    to_merchant = bool(merchant_address) and told.kind in TO_MERCHANT
    subject = _SUBJECTS[told.kind]
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = merchant_address if to_merchant else operator_address
    message["Subject"] = subject if to_merchant else f"{subject} ({notice.merchant_id})"
    message["Date"] = format_datetime(told.record_time)
    # The same at every attempt, so that a message that comes twice is known for one.
    message["Message-ID"] = f"<notice-{notice.sequence}@{sender.rpartition('@')[2]}>"
    # https://www.rfc-editor.org/rfc/rfc3834#section-5
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(_lines(notice, page_url, to_merchant=to_merchant)) + "\n")
    return message


def _lines(notice: Notice, page_url: str, *, to_merchant: bool) -> Iterator[str]:
    told = notice.told
    if not to_merchant:
        yield f"This is about the merchant {notice.merchant_id}."
        yield ""
    if told.kind is NoticeKind.ATTEMPTS_LOW:
        yield _LOW
    else:
        yield "Stripe needs the following about the account that takes payments."
        yield _until(told)
    for item in told.requirements:
        yield ""
        yield from _item(item)
    if told.kind is not NoticeKind.ATTEMPTS_LOW:
        yield ""
        yield f"Please sign in here to hand it in: {page_url}"


def _until(told: Told) -> str:
    if told.act_by_time is None or told.act_by_time <= told.record_time:
        return "Please hand it in now."
    return f"Please hand it in by {_day(told.act_by_time)}."


def _item(item: Requirement) -> Iterator[str]:
    found = guide().field(item.field)
    words, fix = (found.words, found.fix) if found.is_known else _UNKNOWN
    yield f"- {words}"
    yield f"  {fix}"
    for code in item.error_codes:
        error = guide().error(code)
        yield "  " + " ".join((error.words, error.fix) if error.is_known else _UNKNOWN_ERROR)


def _day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}, {time:%H:%M} UTC"
