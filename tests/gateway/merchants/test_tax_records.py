"""Tax settings, registrations and numbers, read through to the Stripe twin."""

from typing import Any

import psycopg
import pytest

from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1 import merchant_tax_pb2 as tax
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.at_stripe import at_stripe
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of


@pytest.fixture
async def account_id(gateway: RunningGateway) -> str:
    made = await gateway.merchants.CreateMerchant(new_merchant())
    return str(made.merchant.connected_account_id)


def merchants_number(request_id: str = "tax-1", **changes: Any) -> pb.CreateTaxIdRequest:
    values: dict[str, Any] = {
        "request_id": request_id,
        "owner": tax.TaxIdOwner(merchant_id="shop-1"),
        "kind": "eu_vat",
        "value": "DE222222222",
    }
    return pb.CreateTaxIdRequest(**(values | changes))


@pytest.mark.usefixtures("account_id")
async def test_settings_say_what_is_missing(gateway: RunningGateway) -> None:
    answer = await gateway.merchants.GetTaxSettings(pb.GetTaxSettingsRequest(merchant_id="shop-1"))
    assert answer.tax_settings.state == tax.TAX_SETTINGS_STATE_PENDING
    assert list(answer.tax_settings.missing_fields) == ["head_office"]
    assert answer.tax_settings.fetch_time.seconds > 0


async def test_settings_are_those_of_the_account_asked_for(
    gateway: RunningGateway, twin: Twin, account_id: str
) -> None:
    office = {
        "head_office[address][country]": "US",
        "head_office[address][state]": "CA",
        "defaults[tax_code]": "txcd_10000000",
    }
    await at_stripe(twin, "/v1/tax/settings", office, account_id)
    of_merchant = await gateway.merchants.GetTaxSettings(
        pb.GetTaxSettingsRequest(merchant_id="shop-1")
    )
    assert of_merchant.tax_settings.state == tax.TAX_SETTINGS_STATE_ACTIVE
    assert of_merchant.tax_settings.head_office_country_code == "US"
    assert of_merchant.tax_settings.head_office_region == "CA"
    assert of_merchant.tax_settings.tax_code == "txcd_10000000"
    of_platform = await gateway.merchants.GetTaxSettings(
        pb.GetTaxSettingsRequest(corridor="default")
    )
    assert of_platform.tax_settings.state == tax.TAX_SETTINGS_STATE_PENDING


async def test_registrations_page_through_all(
    gateway: RunningGateway, twin: Twin, account_id: str
) -> None:
    for state in ("CA", "NY", "TX"):
        form = {
            "country": "US",
            "active_from": "now",
            "country_options[us][type]": "state_sales_tax",
            "country_options[us][state]": state,
        }
        await at_stripe(twin, "/v1/tax/registrations", form, account_id)
    found: list[tax.TaxRegistration] = []
    token = ""
    while True:
        page = await gateway.merchants.ListTaxRegistrations(
            pb.ListTaxRegistrationsRequest(merchant_id="shop-1", page_size=2, page_token=token)
        )
        found += page.tax_registrations
        token = page.next_page_token
        if not token:
            break
    assert sorted(item.region for item in found) == ["CA", "NY", "TX"]
    assert {item.kind for item in found} == {"state_sales_tax"}
    assert {item.state for item in found} == {tax.TAX_REGISTRATION_STATE_ACTIVE}
    assert all(item.active_from_time.seconds > 0 for item in found)
    assert not any(item.HasField("expire_time") for item in found)


@pytest.mark.usefixtures("account_id")
async def test_a_merchants_number_is_entered_once(
    gateway: RunningGateway, twin: Twin, database_url: str
) -> None:
    entered = (await gateway.merchants.CreateTaxId(merchants_number())).tax_id
    assert entered.value == "DE222222222"
    assert entered.country_code == "DE"
    assert entered.verification_state == tax.TAX_ID_VERIFICATION_STATE_PENDING
    again = (await gateway.merchants.CreateTaxId(merchants_number())).tax_id
    assert again == entered
    owner = tax.TaxIdOwner(merchant_id="shop-1")
    listed = await gateway.merchants.ListTaxIds(pb.ListTaxIdsRequest(owner=owner))
    assert [item.id for item in listed.tax_ids] == [entered.id]
    reused = await refusal_of(gateway.merchants.CreateTaxId(merchants_number(value="DE1")))
    assert reused.reason == "REQUEST_ID_REUSED"
    assert reused.metadata["differing_fields"] == "value"
    assert "DE1" not in str(reused)
    with psycopg.connect(database_url) as connection:
        kept = connection.execute(
            "SELECT body, answer FROM merchant_request WHERE method = 'CreateTaxIdRequest'"
        ).fetchone()
    assert kept is not None
    assert b"DE222222222" not in kept[0] + kept[1], "tax numbers are not kept"


@pytest.mark.usefixtures("account_id")
async def test_a_lost_answer_enters_no_second_number(gateway: RunningGateway, twin: Twin) -> None:
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/tax_ids", count=4)
    lost = await refusal_of(gateway.merchants.CreateTaxId(merchants_number()))
    assert lost.reason == "OUTCOME_UNKNOWN"
    await gateway.merchants.CreateTaxId(merchants_number())
    owner = tax.TaxIdOwner(merchant_id="shop-1")
    listed = await gateway.merchants.ListTaxIds(pb.ListTaxIdsRequest(owner=owner))
    assert len(listed.tax_ids) == 1


async def test_a_customers_number_is_the_customers(gateway: RunningGateway, twin: Twin) -> None:
    customer = await at_stripe(twin, "/v1/customers", {"name": "Meier"})
    owner = tax.TaxIdOwner(
        customer=tax.TaxIdCustomer(stripe_customer_id=customer["id"], corridor="default")
    )
    entered = await gateway.merchants.CreateTaxId(
        merchants_number(owner=owner, kind="us_ein", value="12-3456789")
    )
    assert entered.tax_id.verification_state == tax.TAX_ID_VERIFICATION_STATE_NOT_CHECKED
    read = await gateway.merchants.GetTaxId(
        pb.GetTaxIdRequest(owner=owner, tax_id_id=entered.tax_id.id)
    )
    assert read.tax_id.value == "12-3456789"
    delete = pb.DeleteTaxIdRequest(request_id="delete-1", owner=owner, tax_id_id=entered.tax_id.id)
    await gateway.merchants.DeleteTaxId(delete)
    await gateway.merchants.DeleteTaxId(delete)
    delete.request_id = "delete-2"
    await gateway.merchants.DeleteTaxId(delete)
    gone = await refusal_of(
        gateway.merchants.GetTaxId(pb.GetTaxIdRequest(owner=owner, tax_id_id=entered.tax_id.id))
    )
    assert gone.reason == "TAX_ID_NOT_FOUND"


async def test_what_stripe_refuses_is_passed_on_without_the_number(
    gateway: RunningGateway,
) -> None:
    nobody = tax.TaxIdOwner(
        customer=tax.TaxIdCustomer(stripe_customer_id="cus_nobody", corridor="default")
    )
    refused = await refusal_of(
        gateway.merchants.CreateTaxId(merchants_number(owner=nobody, value="12345"))
    )
    assert refused.reason == "STRIPE_REJECTED"
    assert refused.metadata["stripe_code"] == "resource_missing"
    assert refused.metadata["stripe_request_id"].startswith("req_")
    assert "12345" not in str(refused)


@pytest.mark.parametrize(
    ("owner", "field"),
    [
        (None, "owner"),
        (tax.TaxIdOwner(), "owner.owner"),
        (tax.TaxIdOwner(merchant_id=""), "owner.merchant_id"),
        (
            tax.TaxIdOwner(customer=tax.TaxIdCustomer(stripe_customer_id="cus_1")),
            "owner.customer.corridor",
        ),
        (
            tax.TaxIdOwner(
                customer=tax.TaxIdCustomer(
                    stripe_customer_id="cus_1", corridor="default", merchant_id="shop-1"
                )
            ),
            "owner.customer.corridor",
        ),
        (
            tax.TaxIdOwner(customer=tax.TaxIdCustomer(stripe_customer_id="me", corridor="default")),
            "owner.customer.stripe_customer_id",
        ),
    ],
)
async def test_bad_owners_are_named(
    gateway: RunningGateway, owner: tax.TaxIdOwner | None, field: str
) -> None:
    refused = await refusal_of(gateway.merchants.ListTaxIds(pb.ListTaxIdsRequest(owner=owner)))
    assert refused.reason == "INVALID_REQUEST"
    assert field in [violation.field for violation in refused.violations]
