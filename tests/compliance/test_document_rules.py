"""What a document answers, what it is, and what Stripe's requirements say of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stripe.params import _account_person_update_params as person_params
from stripe.params import _account_update_params as account_params

from compliance.accounts.guidance import guide
from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    EVENTUALLY_DUE,
    PAST_DUE,
    PENDING_VERIFICATION,
    Requirement,
)
from compliance.config import ComplianceSettings
from compliance.data_lines import DataError
from compliance.documents.content_type import content_type
from compliance.documents.document import SETTLING, State, names_of, verdict
from compliance.documents.fields import FIELDS, DocumentField, document_field, read_fields
from compliance.documents.messages import side_word
from compliance.v1 import document_pb2
from tests.compliance.test_mail_settings import PRODUCTION

IDENTITY = "person_1.verification.document"
ATTACHED = datetime(2026, 11, 29, 12, tzinfo=UTC)
KEY = "q4Wm1nB8Zx0Yk3Vt6Rj9Lp2Hs5Df7Gc8Ae1Ui4Oq0Tw="


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("individual.verification.document", DocumentField("identity_document", True)),
        (IDENTITY, DocumentField("identity_document", True)),
        (
            "owners.verification.additional_document",
            DocumentField("identity_document", True),
        ),
        ("company.verification.document", DocumentField("additional_verification", True)),
        ("person_1.documents.passport.files", DocumentField("account_requirement", False)),
        ("documents.company_license.files", DocumentField("account_requirement", False)),
        ("company.tax_id", None),
        ("documents.company_license", None),
        ("individual.verification.document.front", None),
        ("individual.documents.passport.files", None),
        ("interv_1.verification.document", None),
    ],
)
def test_which_fields_a_document_answers(field: str, expected: DocumentField | None) -> None:
    assert document_field(field) == expected


def test_the_fields_are_those_that_the_sdk_can_hand_in() -> None:
    of_account = account_params.AccountUpdateParamsDocuments.__annotations__
    of_person = person_params.AccountPersonUpdateParamsDocuments.__annotations__
    handed_in = {
        *(f"documents.{name}.files" for name in of_account),
        *(f"@person.documents.{name}.files" for name in of_person),
        *(f"@person.verification.{name}" for name in ("document", "additional_document")),
        "company.verification.document",
    }
    assert set(read_fields(FIELDS)) == handed_in
    # Whoever asks for one is told what to hand in.
    for field in handed_in - {"documents.proof_of_registration.files"}:
        assert guide().field(field.replace("@person", "person_1")).is_known, field


@pytest.mark.parametrize(
    "line",
    [
        "a\tidentity_document\tsides\t2026-11-29",
        "a\tbirthday\tsides\t2026-11-29\thttps://x",
        "a\tidentity_document\tthree\t2026-11-29\thttps://x",
        "a\tidentity_document\tsides\tlast week\thttps://x",
        "a\tidentity_document\tsides\t2026-11-29\tx",
    ],
)
def test_a_line_that_cannot_be_used_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "fields.tsv"
    file.write_text(f"# fields\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"fields.tsv line 2"):
        read_fields(file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "image/jpeg"),
        (b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM", "image/jpeg"),
        (b"\xff\xd8\xff\xdb" + bytes(8), "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(17), "image/png"),
        (b"GIF89a", "image/gif"),
        (b" %PDF-1.7", ""),
        (b"of no kind", ""),
        (b"", ""),
    ],
)
def test_what_a_content_is_by_how_it_begins(content: bytes, expected: str) -> None:
    assert content_type(content) == expected


def test_a_document_without_a_side_is_its_front() -> None:
    unspecified, back = document_pb2.DOCUMENT_SIDE_UNSPECIFIED, document_pb2.DOCUMENT_SIDE_BACK
    assert side_word(unspecified, has_sides=True) == "FRONT"
    assert side_word(back, has_sides=True) == "BACK"
    assert side_word(unspecified, has_sides=False) == ""


def requirement(
    field: str, severity: int, codes: tuple[str, ...] = (), *, future: bool = False
) -> Requirement:
    return Requirement(field, severity, None, (), codes, future, (), hosted_only=False)


@given(
    items=st.lists(
        st.builds(
            requirement,
            st.sampled_from((IDENTITY, "company.tax_id")),
            st.sampled_from((EVENTUALLY_DUE, PENDING_VERIFICATION, CURRENTLY_DUE, PAST_DUE)),
            st.sampled_from(((), ("verification_document_expired",))),
            future=st.booleans(),
        ),
        max_size=4,
    ),
    minutes=st.sampled_from((-1, 0, 1, 9, 10, 11)),
)
def test_what_stripe_says_of_a_document(items: list[Requirement], minutes: int) -> None:
    """Against the sentences of the page: only what is newer counts, pending is undecided, an error
    of what is due refuses, and nothing wanted for a while accepts."""
    found = verdict({IDENTITY}, ATTACHED, items, ATTACHED + timedelta(minutes=minutes))
    of_field = {
        (item.severity, item.error_codes)
        for item in items
        if item.field == IDENTITY and not item.future
    }
    wanted = {item.field for item in items}
    severities = {severity for severity, _ in of_field}
    errors = {codes for severity, codes in of_field if codes and severity in (3, 4)}
    expected: State | None = None
    if minutes > 0 and PENDING_VERIFICATION not in severities:
        if errors:
            expected = State.REFUSED
        elif IDENTITY not in wanted and minutes >= SETTLING.total_seconds() / 60:
            expected = State.ACCEPTED
    assert (found.state if found else None) == expected
    if found is not None:
        assert bool(found.error_codes) == (found.state is State.REFUSED)


def test_stripe_calls_the_document_of_a_role_by_its_person() -> None:
    of_role = "representative.verification.document"
    assert names_of(of_role, "person_1") == {of_role, IDENTITY}
    assert names_of(of_role, "") == {of_role}


def test_production_takes_no_document_that_nobody_has_looked_at() -> None:
    assert ComplianceSettings().setting_that_documents_need == "COMPLIANCE_DOCUMENT_KEYS"
    assert ComplianceSettings(document_keys=KEY).setting_that_documents_need == ""
    production = {**PRODUCTION, "document_keys": KEY, "database_min_sslmode": "disable"}
    production |= {"database_url": "postgresql://c:Zk3Vt6Rj9Lp2Hs5Df7Gc@127.0.0.1/c"}
    settings = ComplianceSettings(**production)
    assert settings.setting_that_documents_need == "COMPLIANCE_CLAMD_ADDRESS"
    allowed = ComplianceSettings(**production, documents_unscanned=True)
    assert allowed.setting_that_documents_need == ""
    scanned = ComplianceSettings(**production, clamd_address="127.0.0.1:3310")
    assert scanned.setting_that_documents_need == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"document_keys": "AAAA"}, "a key has not 32 bytes"),
        ({"document_keys": "A" * 43 + "="}, "COMPLIANCE_DOCUMENT_KEYS: a key has fewer than 6"),
        ({"clamd_address": "clamd.example:3310"}, "COMPLIANCE_CLAMD_ADDRESS: clamd knows no TLS"),
        ({"clamd_address": "clamd"}, "clamd_address"),
        ({"document_retention_days": 91}, "document_retention_days"),
    ],
)
def test_what_production_refuses(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ComplianceSettings(**{**PRODUCTION, **changes})
