"""Nothing personal in logs, metrics, errors and decisions; nothing suspicious to merchants."""

import logging
from typing import Any

import psycopg
import pytest
from prometheus_client import generate_latest

from compliance.v1 import decision_service_pb2, subject_pb2, subject_service_pb2
from gateway.v1 import merchant_tax_pb2
from tests.compliance.guard import Guard, failure, unique

NAME = "Ostap Kvortenhalmen"
ALIAS = "Остап Квортенгальмен"
BIRTH_DATE = "1971-03-05"
VAT = "DE136695976"
PERSONAL = (NAME, ALIAS, "Kvortenhalmen", "kvortenhalmen", "KVORTENHALMEN", BIRTH_DATE, VAT)


async def test_names_stay_out_of_logs_metrics_and_decisions(
    guard: Guard, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    guard.merchants.tax_ids = [merchant_tax_pb2.TaxId(kind="eu_vat", value=VAT, verified_name=NAME)]
    person: dict[str, Any] = {
        "entity_kind": subject_pb2.ENTITY_KIND_INDIVIDUAL,
        "birth_date": BIRTH_DATE,
        "aliases": [ALIAS],
    }
    merchant = await guard.merchant(NAME, **person)
    customer = await guard.customer(NAME, **person)
    decision = await guard.check(merchant, customer_id=customer)
    assert len(decision.reasons) > 1
    await guard.load_list()
    await failure(
        guard.subjects.CreateSubject(
            subject_service_pb2.CreateSubjectRequest(
                request_id=unique("twice"),
                subject_id=merchant,
                kind=subject_pb2.SUBJECT_KIND_MERCHANT,
                profile=subject_pb2.SubjectProfile(legal_name=NAME, **person),
            )
        )
    )
    with psycopg.connect(guard.database_url) as connection:
        # An error inside the database quotes the row in its message.
        connection.execute(
            "ALTER TABLE subject ADD CHECK (legal_name <> 'Ostap Kvortenhalmen') NOT VALID"
        )
        connection.commit()
        error = await failure(guard.customer(NAME, **person))
        assert error.reason == "INTERNAL"
        (record,) = connection.execute("SELECT record FROM decision").fetchone() or ()
        (content,) = (
            connection.execute("SELECT content::text FROM account_snapshot").fetchone() or ()
        )
    out, err = capfd.readouterr()
    logged = out + err + caplog.text
    assert "list_loaded" in logged or "serving" in logged or "unexpected_error" in logged
    for word in PERSONAL:
        assert word not in logged
        assert word not in generate_latest().decode()
        assert word not in record
        assert word not in content
        assert word not in error.message + str(error.metadata)


async def test_reasons_for_merchants_name_nobody_and_suspect_nothing(guard: Guard) -> None:
    merchant = await guard.merchant(
        NAME, entity_kind=subject_pb2.ENTITY_KIND_INDIVIDUAL, country="IR"
    )
    decision = await guard.check(merchant)
    assert decision.reasons
    for reason in decision.reasons:
        assert NAME not in reason.merchant_text + reason.internal_text
        assert "match" not in reason.merchant_text.lower()
    listed = await guard.decisions.ListDecisions(decision_service_pb2.ListDecisionsRequest())
    assert NAME not in str(listed)


async def test_metrics_count_decisions(guard: Guard) -> None:
    await guard.check(await guard.merchant())
    text = generate_latest().decode()
    assert 'compliance_decisions_total{kind="PAYMENT",verdict="ALLOW"}' in text
    assert 'compliance_account_fetches_total{outcome="ok"}' in text
    assert 'compliance_list_alarm{list="OFAC_SDN"}' in text
