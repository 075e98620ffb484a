"""What is told of breaks, and how it reads: pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum

from reconciliation.matching.breaks import amount_text

# Breaks that a digest tells of one by one; of more it says how many there are.
MAX_DIGEST_BREAKS = 50
# Every server takes seven bits.
_POLICY = SMTP.clone(cte_type="7bit")


class Channel(StrEnum):
    """How it is told."""

    WEBHOOK = "WEBHOOK"
    MAIL = "MAIL"


class BreakNews(StrEnum):
    """What has happened to a break, as webhooks call it."""

    OPENED = "reconciliation.break.opened"
    """It is due: from then on it is a break."""
    OVERDUE = "reconciliation.break.overdue"
    ENDED = "reconciliation.break.ended"


@dataclass(frozen=True)
class AlertRules:
    """What is told by e-mail, and when."""

    digest_at: time = time(7)
    """In UTC, each day on which a break is open."""
    at_once_over: Mapping[str, int] = field(default_factory=dict)
    """By currency, in minor units: breaks of more are told of when they open."""

    def is_urgent(self, amounts: Iterable[tuple[str, int]]) -> bool:
        """Whether a break is told of at once."""
        return any(
            code in self.at_once_over and abs(amount) > self.at_once_over[code]
            for code, amount in amounts
        )

    def digest_time(self, now: datetime) -> datetime | None:
        """When today's digest was to be made; None if it is not time yet."""
        wanted = datetime.combine(now.astimezone(UTC).date(), self.digest_at, UTC)
        return wanted if wanted <= now else None


@dataclass(frozen=True)
class ToldBreak:
    """A break as it is told of."""

    break_id: int
    leg: str
    """Empty where it is of a subject."""
    subject: str
    kind: str
    corridor: str
    amounts: tuple[tuple[str, int], ...]
    since: datetime
    due: datetime
    overdue: datetime
    sentence: str


@dataclass(frozen=True)
class Alert:
    """Something to tell, once by its channel."""

    channel: Channel
    about: str
    body: str
    subject: str = ""


def webhook_of(news: BreakNews, told: ToldBreak, when: datetime) -> Alert:
    """The webhook of what happened. `about` is the message's id: the same whenever it is sent, and
    another one for what a restored database gives the same number."""
    micros = int(told.since.timestamp() * 1_000_000)
    data = {
        "break_id": str(told.break_id),
        "kind": told.kind,
        "leg": told.leg,
        "subject": told.subject,
        "corridor": told.corridor,
        "amounts": [
            {"currency_code": code, "minor_units": str(amount)} for code, amount in told.amounts
        ],
        "since_time": _text(told.since),
        "due_time": _text(told.due),
        "overdue_time": _text(told.overdue),
        "sentence": told.sentence,
    }
    body = {"type": news.value, "timestamp": _text(when), "data": data}
    word = news.name.lower()
    return Alert(
        Channel.WEBHOOK,
        f"brk_{told.break_id}_{micros}_{word}",
        json.dumps(body, ensure_ascii=False, separators=(",", ":")),
    )


def urgent_mail(told: ToldBreak) -> Alert:
    """The e-mail about a break of a large amount."""
    how_much = ", ".join(amount_text(code, amount) for code, amount in told.amounts)
    micros = int(told.since.timestamp() * 1_000_000)
    return Alert(
        Channel.MAIL,
        f"break-{told.break_id}-{micros}",
        f"{told.sentence}\n\nBreak {told.break_id} of {told.corridor or 'no corridor'}.\n",
        f"Break {told.kind}: {how_much}",
    )


def digest(opened: Sequence[ToldBreak], count: int, now: datetime) -> Alert:
    """The e-mail of a day about the breaks that are open, of which `opened` are the oldest."""
    overdue = sum(told.overdue <= now for told in opened)
    lines = [f"{count} breaks are open."]
    for told in opened[:MAX_DIGEST_BREAKS]:
        age = "OVERDUE" if told.overdue <= now else "due"
        lines += ["", f"{told.break_id} {age} {told.kind} {told.corridor}", told.sentence]
    if count > len(opened):
        lines += ["", f"And {count - len(opened)} more: ListBreaks shows them."]
    day = now.astimezone(UTC).date()
    more = f", {overdue} overdue" if overdue else ""
    return Alert(
        Channel.MAIL,
        f"digest-{day}",
        "\n".join(lines) + "\n",
        f"{count} open breaks on {day}{more}",
    )


def mail_of(alert: Alert, sender: str, recipient: str, when: datetime) -> EmailMessage:
    """The message; the same at every attempt, so that one that comes twice is known for one."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = alert.subject
    message["Date"] = format_datetime(when)
    message["Message-ID"] = f"<reconciliation-{alert.about}@{sender.rpartition('@')[2]}>"
    # https://www.rfc-editor.org/rfc/rfc3834#section-5
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(alert.body)
    return message


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
