"""Files, and documents that answer what Stripe wants of an account."""

import io
from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import DEFAULT_ACCOUNT
from sandbox.stripe_twin.overrides import AccountState
from tests.sandbox.stripe_twin.merchants import new_account
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

PDF = b"%PDF-1.7\r\n--not a boundary\r\n\r\nof a form%%EOF"
REGISTER = "documents.company_registration_verification.files"


class Named(io.BytesIO):
    """A file of this name, as the SDK takes one."""

    def __init__(self, content: bytes, name: str = "front.pdf") -> None:
        super().__init__(content)
        self.name = name


async def upload(
    shop: Shop,
    account: str,
    content: bytes = PDF,
    purpose: str = "identity_document",
    options: stripe.RequestOptions | None = None,
) -> stripe.File:
    params: Any = {"file": Named(content), "purpose": purpose}
    return await shop.api.files.create_async(params, options or fresh_key(account))


def wanted(*fields: str) -> AccountState:
    lists = {"currently_due": list(fields), "eventually_due": list(fields)}
    return AccountState.model_validate({"requirements": lists})


async def test_a_file_is_kept_and_found_again(shop: Shop) -> None:
    account = (await new_account(shop)).id
    options = fresh_key(account)
    made = await upload(shop, account, options=options)
    assert problems(stripe.File, made.to_dict()) == []
    assert (made.purpose, made.size, made.type) == ("identity_document", len(PDF), "pdf")
    assert made.filename == "front.pdf"
    # Each request has another boundary; the same parameters are the same request.
    assert (await upload(shop, account, options=options)).id == made.id
    with pytest.raises(stripe.IdempotencyError):
        await upload(shop, account, PDF + b" ", options=options)
    listed = await shop.api.files.list_async(
        {"purpose": "identity_document"}, {"stripe_account": account}
    )
    assert [file.id for file in listed.data] == [made.id]
    # The platform has not this file.
    assert (await shop.api.files.list_async()).data == []


@pytest.mark.parametrize(
    ("content", "purpose", "param"),
    [
        (b"GIF89a", "identity_document", "file"),
        (b"", "identity_document", "file"),
        (PDF, "birthday_card", "purpose"),
    ],
)
async def test_files_that_stripe_refuses(
    shop: Shop, content: bytes, purpose: str, param: str
) -> None:
    account = (await new_account(shop)).id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await upload(shop, account, content, purpose)
    assert refused.value.param == param


async def test_a_file_may_be_as_large_as_its_purpose_allows(shop: Shop) -> None:
    largest = 5 * 1024 * 1024
    for size, status in ((largest, 200), (largest + 1, 400)):
        form = aiohttp.FormData({"purpose": "dispute_evidence"})
        form.add_field("file", io.BytesIO(b"%PDF-".ljust(size, b"0")), filename="evidence.pdf")
        headers = {
            "Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}",
            "Idempotency-Key": f"evidence-{size}",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{shop.twin.url}/v1/files", data=form, headers=headers) as answer,
        ):
            assert answer.status == status


async def test_a_document_is_pending_until_somebody_has_looked(shop: Shop) -> None:
    account = (await new_account(shop)).id
    person = await shop.api.accounts.persons.create_async(account, {}, fresh_key())
    identity = f"{person.id}.verification.document"
    shop.twin.override_account(account, wanted("company.verification.document", identity, REGISTER))
    files = {
        purpose: (await upload(shop, account, purpose=purpose)).id
        for purpose in ("identity_document", "additional_verification", "account_requirement")
    }
    await shop.api.accounts.update_async(
        account,
        {
            "company": {"verification": {"document": {"front": files["additional_verification"]}}},
            "documents": {
                "company_registration_verification": {"files": [files["account_requirement"]]}
            },
        },
        fresh_key(),
    )
    await shop.api.accounts.persons.update_async(
        account,
        person.id,
        {"verification": {"document": {"front": files["identity_document"]}}},
        fresh_key(),
    )
    seen = (await shop.api.accounts.retrieve_async(account)).requirements
    assert seen is not None
    assert seen.currently_due == []
    asked_for = {"company.verification.document", REGISTER, identity}
    assert set(seen.pending_verification or []) == asked_for

    shop.twin.decide_document(account, REGISTER)
    shop.twin.decide_document(account, identity, "verification_document_expired")
    seen = (await shop.api.accounts.retrieve_async(account)).requirements
    assert seen is not None
    assert seen.errors is not None
    assert seen.pending_verification == ["company.verification.document"]
    assert seen.currently_due == [identity]
    assert [(one.code, one.requirement) for one in seen.errors] == [
        ("verification_document_expired", identity)
    ]
    with pytest.raises(ValueError, match="not being verified"):
        shop.twin.decide_document(account, REGISTER)


async def test_a_document_has_to_be_there_and_for_this(shop: Shop) -> None:
    account = (await new_account(shop)).id
    register = (await upload(shop, account, purpose="account_requirement")).id
    for file, code in (("file_none", "resource_missing"), (register, None)):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await shop.api.accounts.update_async(
                account,
                {"individual": {"verification": {"document": {"front": file}}}},
                fresh_key(),
            )
        assert refused.value.param == "individual[verification][document][front]"
        assert refused.value.code == code
