"""What makes a request invalid, with the field that is named; nothing is written then."""

from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.message import Message

from compliance.v1 import (
    compliance_service_pb2,
    screening_pb2,
    screening_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from compliance.validation import VALIDATOR
from money.v1.money_pb2 import Money
from tests.compliance.guard import Guard, failure

Check = compliance_service_pb2.CheckPaymentRequest
Create = subject_service_pb2.CreateSubjectRequest
Kyc = subject_service_pb2.SetKycStateRequest
PERSON = subject_pb2.ENTITY_KIND_INDIVIDUAL


def check(**changes: Any) -> Message:
    values = {
        "request_id": "r",
        "payment_id": "p",
        "merchant_id": "m",
        "amount": Money(currency_code="EUR", minor_units=1),
        "corridor": "main",
        **changes,
    }
    return Check(**values)


def create(kind: int = subject_pb2.SUBJECT_KIND_MERCHANT, **changes: Any) -> Message:
    profile = {"legal_name": "Name", **changes.pop("profile", {})}
    return Create(
        request_id="r",
        kind=kind,  # type: ignore[arg-type]
        profile=subject_pb2.SubjectProfile(**profile),
        **changes,
    )


def kyc(**changes: Any) -> Message:
    request = Kyc(request_id="r", subject_id="s", note="n", **changes)
    request.expire_time.FromSeconds(1)
    return request


def money(currency_code: str, minor_units: int) -> Money:
    return Money(currency_code=currency_code, minor_units=minor_units)


def screened(**changes: Any) -> Message:
    return screening_service_pb2.ScreenNameRequest(
        screened_name=screening_pb2.ScreenedName(**{"name": "Name", **changes})
    )


OWNER = subject_pb2.SUBJECT_KIND_OWNER
ACCOUNT = subject_pb2.AccountLink(corridor="main", connected_account_id="acct_1")


@pytest.mark.parametrize(
    ("request_", "field", "problem"),
    [
        (check(request_id=""), "request_id", "is required"),
        (check(request_id="x" * 129), "request_id", "is longer than 128 bytes"),
        (check(request_id="sp ace"), "request_id", "does not match"),
        (check(amount=None), "amount", "is required"),
        (check(amount=money("EUR", 0)), "amount", "is less than 1"),
        (check(amount=money("EUR", -1)), "amount.minor_units", "is less than 0"),
        (check(amount=money("EUR", 2**53 + 1)), "amount.minor_units", "is greater than"),
        (check(amount=money("eur", 1)), "amount.currency_code", "does not match"),
        (check(amount=money("ZZZ", 1)), "amount.currency_code", "is no ISO 4217 currency"),
        (check(amount=money("", 1)), "amount.currency_code", "is required"),
        (check(billing_country_code="de"), "billing_country_code", "does not match"),
        (check(payment_method_type="SEPA Debit"), "payment_method_type", "does not match"),
        (check(payment_method_type="a" * 129), "payment_method_type", "128 bytes"),
        (check(connected_account_id="acct-1"), "connected_account_id", "does not match"),
        (create(0), "kind", "is required"),
        (create(profile={"legal_name": ""}), "profile.legal_name", "is required"),
        (create(profile={"legal_name": "é" * 257}), "profile.legal_name", "longer than 512 bytes"),
        (create(profile={"legal_name": "a\x00b"}), "profile.legal_name", "NUL character"),
        (create(profile={"aliases": ["a"] * 21}), "profile.aliases", "more than 20 items"),
        (create(profile={"aliases": ["a", ""]}), "profile.aliases[1]", "is empty"),
        (create(profile={"birth_date": "1970-13"}), "profile.birth_date", "is no date"),
        (create(profile={"birth_date": "1970-02-30"}), "profile.birth_date", "is no date"),
        (create(profile={"birth_date": "0000"}), "profile.birth_date", "is no date"),
        (create(profile={"birth_date": "70"}), "profile.birth_date", "does not match"),
        (
            create(profile={"birth_date": "1970", "entity_kind": 2}),
            "profile.birth_date",
            "is for individuals only",
        ),
        (create(parent_subject_id="m"), "parent_subject_id", "is not for merchants"),
        (create(OWNER), "parent_subject_id", "is required for owners"),
        (create(OWNER, parent_subject_id="m", account=ACCOUNT), "account", "for merchants only"),
        (
            create(account=subject_pb2.AccountLink(corridor="main")),
            "account.connected_account_id",
            "is required",
        ),
        (
            kyc(kyc_state=subject_pb2.KYC_STATE_PENDING),
            "expire_time",
            "is for KYC_STATE_VERIFIED only",
        ),
        (screened(name=""), "screened_name.name", "is required"),
        (screened(birth_date="1970-00-01"), "screened_name.birth_date", "is no date"),
        (screening_service_pb2.ScreenNameRequest(), "screened_name", "is required"),
        (screening_service_pb2.LoadSanctionsListRequest(), "list", "is required"),
    ],
)
def test_refused(request_: Message, field: str, problem: str) -> None:
    found = VALIDATOR.violations(request_)
    assert [(item.field, problem in item.description) for item in found] == [(field, True)]


@pytest.mark.parametrize(
    "request_",
    [
        check(),
        check(request_id="A-z_0.9:" * 16),
        check(amount=money("KWD", 2**53)),
        create(profile={"birth_date": "1970"}),
        create(profile={"birth_date": "1970-12", "entity_kind": PERSON}),
        create(profile={"birth_date": "2000-02-29"}),
        create(OWNER, parent_subject_id="m"),
        create(account=ACCOUNT),
        kyc(kyc_state=subject_pb2.KYC_STATE_VERIFIED),
    ],
)
def test_accepted(request_: Message) -> None:
    assert VALIDATOR.violations(request_) == []


async def test_a_refused_check_writes_nothing(guard: Guard) -> None:
    error = await failure(guard.check("m", amount=0))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [violation.field for violation in error.violations] == ["amount"]
    with psycopg.connect(guard.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM decision").fetchone() == (0,)
