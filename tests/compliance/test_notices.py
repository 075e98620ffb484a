"""Notices in a real service and through a real mail server: kept, told and sent once."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.smtp import AuthResult
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    PENDING_VERIFICATION,
    Requirement,
)
from compliance.accounts.snapshot import AccountSnapshot
from compliance.accounts.store import store_snapshot
from compliance.collection import sending
from compliance.collection.chasing import Chasing
from compliance.collection.rules import LOOK_AGAIN, MAX_REFUSALS
from compliance.collection.sending import LEASE, MAX_ATTEMPTS, Letterhead, NoticeMailer
from compliance.forecast.forecasting import Forecasting
from compliance.forecast.volumes import CheckedVolumes
from compliance.v1 import notice_pb2, requirement_service_pb2, subject_pb2
from compliance.v1 import notice_service_pb2 as pb
from gateway.v1 import merchant_requirements_pb2
from runtime.notifier import Notifier
from runtime.postgres import create_engine
from runtime.smtp import MailServer, MailServerError, Security
from sandbox.addresses import free_port
from sandbox.certificates import make_certificates
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, failure
from tests.compliance.test_freeze_forecasts import GOOD
from tests.postbox import Postbox, mail_server
from tests.waiting import wait_until

DAY = timedelta(days=1)
SENDER = "notices@platform.example"
OPERATOR = "compliance@platform.example"
MERCHANT = "owner@merchant.example"
ROUNDS = {"loop": "requirement notices"}
PAGE = "https://platform.example/requirements"


@pytest.fixture
async def guard(open_guard: OpenGuard) -> AsyncIterator[Guard]:
    """A service that has looked for notices twice, at its start and after the first forecasts, and
    does not again by itself."""
    before = REGISTRY.get_sample_value("loop_rounds_total", ROUNDS) or 0.0
    async with open_guard() as opened:
        await asyncio.to_thread(
            wait_until,
            lambda: (REGISTRY.get_sample_value("loop_rounds_total", ROUNDS) or 0.0) >= before + 2,
        )
        yield opened


def wanted(
    name: str = "company.tax_id", *, severity: int = CURRENTLY_DUE, **changes: Any
) -> Requirement:
    item = Requirement(name, severity, None, (), (), False, (), hosted_only=False)
    return replace(item, **changes)


@dataclass
class Office:
    """Accounts that are looked at, and notices that are sent, when a test says so."""

    guard: Guard
    engine: AsyncEngine
    forecasting: Forecasting
    chasing: Chasing
    mailer: NoticeMailer

    async def shows(self, account_id: str, *requirements: Requirement) -> None:
        """Stripe shows the account so from now on, and it is looked at."""
        now = self.guard.clock.now()
        content = replace(GOOD, requirements=requirements)
        async with self.engine.begin() as connection:
            snapshot = AccountSnapshot(account_id, "main", f"mrc_{account_id}", content, now)
            await store_snapshot(connection, snapshot, now)
        await self.look()

    async def look(self) -> None:
        while await self.forecasting.round():
            pass
        while await self.chasing.round():
            pass

    async def send(self) -> None:
        while await self.mailer.round():
            pass

    async def listed(self, merchant: str = "", **fields: Any) -> list[pb.ListedNotice]:
        answer = await self.guard.notices.ListNotices(
            pb.ListNoticesRequest(merchant_id=merchant, **fields)
        )
        return list(answer.notices)

    async def kinds(self, merchant: str) -> list[str]:
        """What was told, the newest first, with where its e-mail is."""
        return [
            f"{notice_pb2.NoticeKind.Name(item.notice.kind).removeprefix('NOTICE_KIND_')} "
            + notice_pb2.NoticeMailState.Name(item.mail_state).removeprefix("NOTICE_MAIL_STATE_")
            for item in await self.listed(merchant)
        ]


@asynccontextmanager
async def office(guard: Guard, server: MailServer) -> AsyncIterator[Office]:
    engine = create_engine(
        guard.database_url, role="compliance_service", pool_size=4, application_name="test"
    )
    forecasting = Forecasting(engine, CheckedVolumes(), (), guard.clock, Notifier())
    chasing = Chasing(engine, forecasting.review_time, guard.clock, forecasting.told, by_mail=True)
    mailer = NoticeMailer(
        engine,
        server,
        Letterhead(SENDER, OPERATOR, PAGE),
        guard.clock,
        chasing.told,
        uniform=lambda: 1.0,
    )
    try:
        yield Office(guard, engine, forecasting, chasing, mailer)
    finally:
        await engine.dispose()


def text_of(message: EmailMessage) -> str:
    content: str = message.get_content()
    return content


async def test_a_merchant_is_told_until_it_has_answered(
    guard: Guard, capfd: pytest.CaptureFixture[str]
) -> None:
    postbox = Postbox()
    with mail_server(postbox) as server:
        async with office(guard, server) as desk:
            clock = guard.clock
            merchant = await guard.merchant(account="acct_one")
            address = pb.SetNoticeAddressRequest(merchant_id=merchant, email_address=MERCHANT)
            await guard.notices.SetNoticeAddress(address)
            item = wanted(
                deadline_time=clock.now() + 20 * DAY,
                error_codes=("verification_failed_tax_id_match",),
            )
            await desk.shows("acct_one", item)
            # Whatever is looked at again, by whomever, says nothing twice.
            other = Chasing(
                desk.engine, desk.forecasting.review_time, clock, Notifier(), by_mail=True
            )
            await asyncio.gather(*(c.round() for c in (desk.chasing, other, desk.chasing)))
            assert await desk.kinds(merchant) == ["FIRST PENDING"]
            await desk.send()
            assert await desk.kinds(merchant) == ["FIRST SENT"]
            (message,) = postbox.messages
            assert postbox.recipients == [MERCHANT]
            assert message["From"] == SENDER
            assert message["Auto-Submitted"] == "auto-generated"
            assert "tax" in text_of(message)
            assert PAGE in text_of(message)
            assert "Please hand it in by 9 December 2026, 12:00 UTC." in text_of(message)
            # Neither an id of Stripe's nor its words.
            assert "acct_one" not in str(message)
            assert "company.tax_id" not in str(message)

            clock.advance(3 * DAY)
            assert LOOK_AGAIN < 3 * DAY
            await desk.look()
            await desk.look()
            await desk.send()
            assert await desk.kinds(merchant) == ["REMINDER SENT", "FIRST SENT"]
            assert (await desk.listed(merchant))[0].notice.days == 14
            await desk.shows("acct_one", item, wanted("company.name"))
            clock.advance(DAY)
            await desk.shows("acct_one", wanted(severity=PENDING_VERIFICATION))
            assert (await desk.kinds(merchant))[:2] == ["ANSWERED UNSPECIFIED", "CHANGED OBSOLETE"]
            await desk.send()
            assert len(postbox.messages) == 2, "what was answered is not asked for"

            stream: Any = guard.notices.WatchNotices(pb.WatchNoticesRequest(after_sequence=1))
            told: list[Any] = [(await stream.read()).notice for _ in range(3)]
            stream.cancel()
            assert [notice.sequence for notice in told] == [2, 3, 4]
            outdated: Any = guard.notices.WatchNotices(pb.WatchNoticesRequest(after_sequence=5))
            assert (await failure(outdated.read())).reason == "CURSOR_OUTDATED"
            assert [item.field for item in told[1].requirements] == [
                "company.tax_id",
                "company.name",
            ]
            assert told[1].requirements[0].guidance.fix
    assert MERCHANT not in "".join(capfd.readouterr())


async def test_who_has_no_address_is_written_of_to_the_operator(guard: Guard) -> None:
    postbox = Postbox()
    with mail_server(postbox) as server:
        async with office(guard, server) as desk:
            merchant = await guard.merchant(account="acct_one")
            address = pb.SetNoticeAddressRequest(merchant_id=merchant, email_address=MERCHANT)
            await guard.notices.SetNoticeAddress(address)
            address.email_address = ""
            await guard.notices.SetNoticeAddress(address)
            await desk.shows("acct_one", wanted())
            await desk.send()
            assert postbox.recipients == [OPERATOR]
            assert merchant in postbox.messages[0]["Subject"]
            with psycopg.connect(guard.database_url) as connection:
                assert connection.execute("SELECT count(*) FROM notice_address").fetchone() == (0,)

            # Refused again and again: the operator is told, and the merchant not asked any more.
            for _ in range(MAX_REFUSALS):
                await desk.shows("acct_one", wanted(severity=PENDING_VERIFICATION))
                await desk.shows("acct_one", wanted())
            address.email_address = MERCHANT
            await guard.notices.SetNoticeAddress(address)
            assert (await desk.kinds(merchant))[0] == "ATTEMPTS_LOW PENDING"
            # What the merchant is told meanwhile does not take its place.
            await desk.shows("acct_one", wanted(), wanted("company.name"))
            told = (await desk.kinds(merchant))[:2]
            assert told == ["FIRST PENDING", "ATTEMPTS_LOW PENDING"]
            await desk.send()
            assert postbox.recipients[-2:] == [OPERATOR, MERCHANT]
            assert "refused several times" in text_of(postbox.messages[-2])
            before = len(postbox.messages)
            guard.clock.advance(DAY)
            await desk.look()
            await desk.send()
            assert len(postbox.messages) == before


async def test_nothing_in_a_notice_tells_of_a_suspicion(guard: Guard) -> None:
    postbox = Postbox()
    strange = (
        wanted("interv_abc.sanctions_match.form", error_codes=("fraud_ring_found",)),
        wanted("company.money_laundering_report"),
    )
    with mail_server(postbox) as server:
        async with office(guard, server) as desk:
            # One in good order, one that looks like somebody listed, and one that is blocked.
            good = await guard.merchant(account="acct_good")
            listed = await guard.merchant("Northgate Shipping", account="acct_listed")
            blocked = await guard.merchant(account="acct_blocked")
            await guard.set_state(blocked, subject_pb2.SUBJECT_STATE_BLOCKED)
            for account in ("acct_good", "acct_listed", "acct_blocked"):
                await desk.shows(account, *strange)
            for merchant in (good, listed):
                await guard.notices.SetNoticeAddress(
                    pb.SetNoticeAddressRequest(merchant_id=merchant, email_address=MERCHANT)
                )
            assert await desk.kinds(blocked) == []
            await desk.send()
            first, second = map(text_of, postbox.messages)
            assert first == second
            for word in ("sanction", "fraud", "launder", "match", "interv", "review limit"):
                assert word not in first.lower()


async def test_what_cannot_be_delivered_is_set_aside_with_an_alarm(guard: Guard) -> None:
    postbox = Postbox()
    with mail_server(postbox) as server:
        async with office(guard, server) as desk:
            merchant = await guard.merchant(account="acct_one")
            await desk.shows("acct_one", wanted())
            # Later, says the server: again with a growing pause, but not for ever.
            postbox.recipient_answer = "450 mailbox is busy"
            for attempt in range(1, MAX_ATTEMPTS + 1):
                await desk.send()
                (item,) = await desk.listed(merchant)
                assert (item.attempt_count, item.failure) == (attempt, "SMTP_450")
                guard.clock.advance(sending.MESSAGE_BACKOFF.bound(attempt))
            assert await desk.kinds(merchant) == ["FIRST DEAD"]
            await desk.send()
            assert postbox.messages == []
            await desk.look()
            assert REGISTRY.get_sample_value("compliance_notice_mails_dead") == 1

            again = pb.ResendNoticeRequest(sequence=1)
            await guard.notices.ResendNotice(again)
            assert (await failure(guard.notices.ResendNotice(again))).reason == "NOTICE_NOT_DEAD"
            unknown = pb.ResendNoticeRequest(sequence=99)
            assert (await failure(guard.notices.ResendNotice(unknown))).reason == "NOTICE_NOT_FOUND"
            # Never, says the server: once is enough.
            postbox.recipient_answer, postbox.data_answer = "", "554 not here"
            await desk.send()
            (item,) = await desk.listed(mail_state=notice_pb2.NOTICE_MAIL_STATE_DEAD)
            assert (item.attempt_count, item.failure) == (1, "SMTP_554")
            # A newer notice takes the place of a dead one.
            postbox.data_answer = ""
            await desk.shows("acct_one", wanted(), wanted("company.name"))
            await desk.send()
            assert await desk.kinds(merchant) == ["CHANGED SENT", "FIRST OBSOLETE"]
            await desk.look()
            assert REGISTRY.get_sample_value("compliance_notice_mails_dead") == 0


async def test_a_server_that_is_away_uses_up_no_attempt(guard: Guard) -> None:
    postbox = Postbox()
    nobody = MailServer(
        "127.0.0.1", free_port(), Security.NONE, "", "", ssl.create_default_context()
    )
    async with office(guard, nobody) as desk:
        merchant = await guard.merchant(account="acct_one")
        await desk.shows("acct_one", wanted())
        for _ in range(MAX_ATTEMPTS + 1):
            with pytest.raises(MailServerError):
                await desk.send()
        (item,) = await desk.listed(merchant)
        assert (item.attempt_count, item.failure) == (0, "")
        await desk.look()
        oldest = REGISTRY.get_sample_value("compliance_notice_mail_oldest_timestamp_seconds")
        assert oldest == guard.clock.now().timestamp()
    with mail_server(postbox) as server:
        async with office(guard, server) as desk:
            # A process that claimed it and was killed: nobody sends before its lease is over.
            with psycopg.connect(guard.database_url) as connection:
                connection.execute(
                    "UPDATE notice_mail SET attempt_count = 1, next_attempt_time = %s",
                    [guard.clock.now() + LEASE],
                )
            await desk.send()
            assert postbox.messages == []
            guard.clock.advance(LEASE)
            both = NoticeMailer(
                desk.engine, server, Letterhead(SENDER, OPERATOR, PAGE), guard.clock, Notifier()
            )
            await asyncio.gather(desk.send(), both.round())
            assert len(postbox.messages) == 1
            assert postbox.messages[0]["Message-ID"] == "<notice-1@platform.example>"


async def test_tls_and_a_login(tmp_path: Path) -> None:
    postbox = Postbox()
    files = make_certificates(tmp_path, datetime.now(UTC), ["server"])["server"]
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(files.certificate, files.key)
    trust = ssl.create_default_context(cafile=files.ca)

    def knows(_server: Any, _session: Any, _envelope: Any, _kind: str, data: Any) -> AuthResult:
        return AuthResult(
            success=(data.login, data.password) == (b"notices", b"a-secret"), handled=False
        )

    message = EmailMessage()
    message["From"], message["To"] = SENDER, MERCHANT
    message.set_content("hello")
    options = {"tls_context": own, "require_starttls": True, "authenticator": knows}
    with mail_server(postbox, auth_required=True, **options) as plain:
        server = replace(
            plain, security=Security.STARTTLS, user="notices", password="a-secret", trust=trust
        )
        await server.send(message)
        assert len(postbox.messages) == 1
        for broken, said in (
            (replace(server, password="another"), "SMTP_535"),
            (replace(server, trust=ssl.create_default_context()), "SSLCertVerificationError"),
            (plain, "SMTP_530"),
        ):
            with pytest.raises(MailServerError) as caught:
                await broken.send(message)
            assert str(caught.value) == said
    with mail_server(postbox) as plain:
        # No TLS is offered: nothing is sent in plain text.
        with pytest.raises(MailServerError) as caught:
            await replace(plain, security=Security.STARTTLS, trust=trust).send(message)
        assert str(caught.value) == "SMTPNotSupportedError"
    assert len(postbox.messages) == 1


async def test_a_service_with_a_mail_server_sends_by_itself(open_guard: OpenGuard) -> None:
    postbox = Postbox()
    with mail_server(postbox) as server:
        async with open_guard(
            smtp_address=f"{server.host}:{server.port}",
            smtp_security="none",
            notice_sender=SENDER,
            notice_operator_address=OPERATOR,
            notice_page_url=PAGE,
            notice_interval_seconds=0.05,
        ) as guard:
            merchant = await guard.merchant(account="acct_one")
            guard.merchants.add(
                "acct_one",
                requirements=merchant_requirements_pb2.Requirements(
                    currently_due=["company.tax_id"]
                ),
            )
            await guard.requirements.RefreshAccountSnapshot(
                requirement_service_pb2.RefreshAccountSnapshotRequest(merchant_id=merchant)
            )
            await asyncio.to_thread(wait_until, lambda: bool(postbox.messages))
            assert postbox.recipients == [OPERATOR]
