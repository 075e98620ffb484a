"""What happens to breaks, told by webhook and e-mail: once each, signed, again until taken."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from reconciliation.alerting import telling
from reconciliation.alerting.alert import (
    MAX_DIGEST_BREAKS,
    AlertRules,
    BreakNews,
    Channel,
    ToldBreak,
    digest,
    mail_of,
    urgent_mail,
    webhook_of,
)
from reconciliation.alerting.sending import LEASE, AlertSender, MailWay, Way, WebhookWay
from reconciliation.alerting.telling import AlertTeller
from reconciliation.config import ReconciliationSettings
from reconciliation.finance_policy import BUNDLED_FINANCE, FinanceError, read_finance
from runtime.notifier import Notifier
from runtime.smtp import MailServerError
from runtime.webhook_addresses import Destinations
from runtime.webhook_sending import Sender
from runtime.webhooks import (
    MAX_ATTEMPTS,
    RETRY_SCHEDULE,
    Attempt,
    DeliveryState,
    after_attempt,
    new_secret,
    secret_problem,
)
from tests.gateway.webhooks_out.receiver import Receiver
from tests.postbox import Postbox, mail_server
from tests.reconciliation.books import Books
from tests.reconciliation.worlds import START, item

FROM, TO = "engine@platform.example", "finance@platform.example"
SECRET = new_secret()
NO_MAILS = AlertRules()
TOLD = ToldBreak(
    break_id=7,
    leg="BOOKED",
    subject="",
    kind="AMOUNT_DIFFERS",
    corridor="main",
    amounts=(("EUR", -1050), ("JPY", 3)),
    since=START,
    due=START,
    overdue=START + timedelta(days=1),
    sentence="The ledger's l1 and Stripe's s1 have different amounts.",
)


def test_large_breaks_are_urgent_and_others_are_not() -> None:
    rules = AlertRules(at_once_over={"EUR": 100})
    for amounts, urgent in [
        ((("EUR", 100),), False),
        ((("EUR", 101),), True),
        ((("EUR", -101),), True),
        ((("USD", 10**9),), False),
        ((("USD", 1), ("EUR", 101)), True),
        ((), False),
    ]:
        assert rules.is_urgent(amounts) is urgent
    assert not AlertRules().is_urgent([("EUR", 10**12)])


def test_a_digest_is_of_a_day_and_its_time() -> None:
    rules = AlertRules(digest_at=time(7, 30))
    before = datetime(2026, 12, 1, 7, 29, 59, tzinfo=UTC)
    assert rules.digest_time(before) is None
    assert rules.digest_time(before + timedelta(seconds=1)) == before + timedelta(seconds=1)


def test_a_webhook_says_what_a_break_says() -> None:
    alert = webhook_of(BreakNews.OVERDUE, TOLD, START)
    body = json.loads(alert.body)
    assert (body["type"], body["timestamp"]) == (
        "reconciliation.break.overdue",
        "2026-11-30T12:00:00.000000Z",
    )
    assert body["data"]["amounts"] == [
        {"currency_code": "EUR", "minor_units": "-1050"},
        {"currency_code": "JPY", "minor_units": "3"},
    ]
    assert (body["data"]["break_id"], body["data"]["sentence"]) == ("7", TOLD.sentence)
    other = webhook_of(BreakNews.OVERDUE, replace(TOLD, since=START + timedelta(seconds=1)), START)
    news = {webhook_of(each, TOLD, START).about for each in BreakNews}
    assert len(news | {other.about}) == 4


def test_mails_are_plain_and_known_for_one() -> None:
    urgent = urgent_mail(TOLD)
    assert urgent.subject == "Break AMOUNT_DIFFERS: -10.50 EUR, 3 JPY"
    message = mail_of(urgent, FROM, TO, START)
    assert message["Message-ID"] == mail_of(urgent, FROM, TO, START)["Message-ID"]
    assert TOLD.sentence in message.get_content()
    many = [replace(TOLD, break_id=n) for n in range(MAX_DIGEST_BREAKS)]
    whole = digest(many, MAX_DIGEST_BREAKS + 3, START + timedelta(days=1))
    assert whole.subject == "53 open breaks on 2026-12-01, 50 overdue"
    assert whole.body.endswith("And 3 more: ListBreaks shows them.\n")
    assert digest(many[:1], 1, START).subject == "1 open breaks on 2026-11-30"


def test_what_will_never_be_taken_is_not_sent_again() -> None:
    verdict = after_attempt(1, Attempt(failure="SMTP_550", is_final=True), lambda: 0.0)
    assert verdict.state is DeliveryState.DEAD


class Tower:
    """Looks and sends when a test says so."""

    def __init__(
        self, books: Books, *ways: Way, channels: Any, rules: AlertRules = NO_MAILS
    ) -> None:
        self.books = books
        self.teller = AlertTeller(books.engine, rules, channels, books.clock, Notifier())
        self.senders = [
            AlertSender(books.engine, way, books.clock, Notifier(), uniform=lambda: 0.0)
            for way in ways
        ]

    async def tell(self) -> None:
        """Everything that is due."""
        while await self.teller.round():
            pass
        for sender in self.senders:
            while await sender.round():
                pass

    async def states(self) -> list[tuple[str, str, int, str]]:
        rows = await self.books.rows(
            "SELECT channel, state, attempts, failure FROM alert ORDER BY alert_number"
        )
        return [tuple(row) for row in rows]


def webhook_way(url: str) -> WebhookWay:
    return WebhookWay(Sender(Destinations(anywhere=True)), url, [SECRET])


def kinds(receiver: Receiver) -> list[tuple[str, str]]:
    return [
        (each.data["type"].rsplit(".", 1)[1], each.data["data"]["kind"])
        for each in receiver.received
    ]


async def test_each_thing_is_told_once_to_the_endpoint_signed(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "BATCH", 1)
    await books.give(item("LEDGER", "before", 3, day=-1))
    await books.run()
    async with Receiver.listening() as receiver:
        tower = Tower(books, webhook_way(receiver.url), channels={Channel.WEBHOOK})
        # What was open before anybody was told is in the lists.
        await tower.tell()
        assert receiver.received == []
        await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 90, "t"))
        await books.give(item("LEDGER", "l2", 5, "u"), item("LEDGER", "l3", 6, "v"))
        await books.run()
        await tower.tell()
        # What is only expected is not told of.
        assert kinds(receiver) == [("opened", "AMOUNT_DIFFERS")]
        assert all(each.verified_with(SECRET) for each in receiver.received)
        await books.later(hours=2)
        await tower.tell()
        assert sorted(kinds(receiver)[1:]) == [("opened", "STRIPE_MISSING")] * 2
        await books.later(days=1)
        await tower.tell()
        # Those of one moment are not cut apart.
        assert sorted(kinds(receiver)[3:]) == [
            ("overdue", "AMOUNT_DIFFERS"),
            *[("overdue", "STRIPE_MISSING")] * 2,
        ]
        await books.give(item("STRIPE", "s2", 10, "t"))
        await books.run()
        await tower.tell()
        assert kinds(receiver)[6:] == [("ended", "AMOUNT_DIFFERS")]
        # It comes late enough to be overdue when it opens.
        await books.give(item("STRIPE", "late", 4, day=-30))
        await books.run()
        await tower.tell()
        assert sorted(kinds(receiver)[7:]) == [
            ("opened", "LEDGER_MISSING"),
            ("overdue", "LEDGER_MISSING"),
        ]
        ids = [each.headers["webhook-id"] for each in receiver.received]
        assert len(set(ids)) == len(ids)
        await Tower(books, webhook_way(receiver.url), channels={Channel.WEBHOOK}).tell()
        assert len(receiver.received) == len(ids)


async def test_an_endpoint_that_fails_is_tried_again_and_given_up(books: Books) -> None:
    async with Receiver.listening() as receiver:
        tower = Tower(books, webhook_way(receiver.url), channels={Channel.WEBHOOK})
        await tower.tell()
        await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 90, "t"))
        await books.run()
        receiver.answer = lambda _: 500
        before = _count("WEBHOOK", "dead")
        await tower.tell()
        assert await tower.states() == [("WEBHOOK", "PENDING", 1, "http_status")]
        await tower.tell()
        assert len(receiver.received) == 1
        for wait in RETRY_SCHEDULE:
            books.clock.advance(max(wait, timedelta(seconds=7)))
            sender = tower.senders[0]
            assert await sender.round()
            assert not await sender.round()
        assert len(receiver.received) == MAX_ATTEMPTS
        assert {each.headers["webhook-id"] for each in receiver.received} == {
            receiver.received[0].headers["webhook-id"]
        }
        assert await tower.states() == [("WEBHOOK", "DEAD", MAX_ATTEMPTS, "http_status")]
        assert _count("WEBHOOK", "dead") == before + 1


async def test_one_that_a_process_died_with_is_sent_by_another(books: Books) -> None:
    async with Receiver.listening() as receiver:
        way = webhook_way(receiver.url)
        tower = Tower(books, way, channels={Channel.WEBHOOK})
        await tower.tell()
        await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 90, "t"))
        await books.run()
        await tower.teller.round()

        class Dying(WebhookWay):
            async def send(self, claimed: Any, clock: Any) -> Attempt:
                await super().send(claimed, clock)
                raise KeyboardInterrupt

        dying = Dying(way.sender, way.url, way.secrets)
        sender = AlertSender(books.engine, dying, books.clock, Notifier())
        with pytest.raises(KeyboardInterrupt):
            await sender.round()
        await tower.tell()
        assert len(receiver.received) == 1
        books.clock.advance(LEASE)
        await tower.tell()
        first, second = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert (await tower.states())[0][1] == "SENT"


async def test_large_breaks_are_mailed_at_once_and_open_ones_each_day(books: Books) -> None:
    postbox = Postbox()
    rules = AlertRules(digest_at=time(7), at_once_over={"EUR": 50})
    with mail_server(postbox) as server:
        way = MailWay(server, FROM, TO)
        tower = Tower(books, way, rules=rules, channels={Channel.MAIL})
        await tower.tell()
        # Nothing is open: there is nothing to say.
        assert postbox.messages == []
        await books.give(item("LEDGER", "l1", 100, "t"), item("STRIPE", "s1", 49, "t"))
        await books.give(item("LEDGER", "l2", 100, "u"), item("STRIPE", "s2", 90, "u"))
        await books.run()
        await tower.tell()
        subjects = sorted(str(message["Subject"]) for message in postbox.messages)
        # It was after seven.
        assert subjects == ["2 open breaks on 2026-11-30", "Break AMOUNT_DIFFERS: 0.51 EUR"]
        assert set(postbox.recipients) == {TO}
        await books.later(hours=3)
        await tower.tell()
        assert len(postbox.messages) == 2
        await books.later(hours=16)
        await tower.tell()
        assert str(postbox.messages[2]["Subject"]) == "2 open breaks on 2026-12-01"
        assert "l1 and Stripe's s1" in postbox.messages[2].get_content()
        # A server that is away costs no attempt; one that refuses for good is told once.
        await books.later(days=1)
        await tower.teller.round()
        away = AlertSender(
            books.engine,
            MailWay(replace(server, port=1), FROM, TO),
            books.clock,
            Notifier(),
        )
        with pytest.raises(MailServerError):
            await away.round()
        assert (await tower.states())[-1] == ("MAIL", "PENDING", 0, "")
        postbox.recipient_answer = "550 nobody"
        await tower.tell()
        assert (await tower.states())[-1] == ("MAIL", "DEAD", 1, "SMTP_550")


def _count(channel: str, outcome: str) -> float:
    labels = {"channel": channel, "outcome": outcome}
    return REGISTRY.get_sample_value("reconciliation_alerts_total", labels) or 0.0


MAIL: dict[str, Any] = {
    "smtp_address": "mail.platform.example:587",
    "alert_mail_sender": FROM,
    "alert_mail_recipient": TO,
}
HOOK: dict[str, Any] = {
    "alert_webhook_url": "https://ops.platform.example/breaks",
    "alert_webhook_secret": SECRET,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alert_mail_sender": None}, "ALERT_MAIL_SENDER: is needed"),
        ({"alert_mail_recipient": None}, "ALERT_MAIL_RECIPIENT: is needed"),
        ({"alert_mail_recipient": "nobody"}, "is no e-mail address"),
        ({"smtp_user": "engine"}, "one needs the other"),
        ({"smtp_security": "none"}, "RECONCILIATION_SMTP_SECURITY: plain text"),
        ({"alert_webhook_secret": None}, "one needs the other"),
        ({"alert_webhook_url": None}, "one needs the other"),
        ({"alert_webhook_url": "ftp://x"}, "is not an http"),
        ({"alert_webhook_secret": "hush"}, "ALERT_WEBHOOK_SECRET: is not whsec_"),
        ({"alert_webhook_secret": "whsec_AAAA"}, "base64 of 24 to 64 bytes"),
    ],
)
def test_what_is_missing_or_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    assert ReconciliationSettings(**MAIL, **HOOK)
    with pytest.raises(ValidationError) as refused:
        ReconciliationSettings(**{**MAIL, **HOOK, **changes})
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


def test_a_secret_is_of_a_length() -> None:
    for length, right in [(23, False), (24, True), (64, True), (65, False)]:
        secret = "whsec_" + base64.b64encode(bytes(length)).decode()
        assert (secret_problem(secret) is None) is right


@pytest.mark.parametrize("given", ["7:00", "24:00", "07:60", "noon"])
def test_a_digest_has_a_time_of_the_day(given: str, tmp_path: Any) -> None:
    file = tmp_path / "finance.toml"
    file.write_text(BUNDLED_FINANCE.read_text().replace('"07:00"', f'"{given}"'))
    with pytest.raises(FinanceError, match="digest_at: is not a time"):
        read_finance(file)
    assert read_finance().alerts == AlertRules(time(7))
