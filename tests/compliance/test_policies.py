"""The built-in policy as clients see it."""

import hashlib
from pathlib import Path

import grpc
import psycopg
import pytest

from compliance.checks.policy import BUILT_IN
from compliance.v1 import policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, failure

# https://docs.stripe.com/currencies, "Supported currencies".
CURRENCIES = """
    USD AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP
    BYN BZD CAD CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT
    LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
    NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD
    SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""


async def test_the_built_in_policy_is_in_force(guard: Guard) -> None:
    listed = await guard.policies.ListPolicyVersions(pb.ListPolicyVersionsRequest())
    (version,) = listed.versions
    assert (version.policy_version, version.state) == (
        "built-in-5",
        policy_pb2.POLICY_STATE_ACTIVE,
    )
    document = version.document
    assert document.snapshot_max_age.ToTimedelta() == BUILT_IN.snapshot_max_age
    assert len(document.limits) == len(BUILT_IN.limits)
    syria = next(item for item in document.country_programmes if item.country_code == "SY")
    assert syria.end_time.ToJsonString() == "2025-07-01T04:00:00Z"
    assert not [item for item in document.country_programmes if not item.source]
    got = await guard.policies.GetPolicyVersion(
        pb.GetPolicyVersionRequest(policy_version="built-in-5")
    )
    assert got.version == version
    with psycopg.connect(guard.database_url) as connection:
        (stored,) = connection.execute("SELECT document FROM policy_version").fetchone() or ()
    assert version.content_hash == hashlib.sha256(stored.encode()).digest()
    drafts = pb.ListPolicyVersionsRequest(state=policy_pb2.POLICY_STATE_DRAFT)
    assert not (await guard.policies.ListPolicyVersions(drafts)).versions


def test_every_currency_that_stripe_charges_in_has_limits() -> None:
    """None is left to people alone."""
    assert [code for code in CURRENCIES.split() if BUILT_IN.limits_of(code) is None] == []
    assert len({limits.currency_code for limits in BUILT_IN.limits}) == len(BUILT_IN.limits)


@pytest.mark.parametrize(
    ("currency", "minor_units"),
    # A hundred dollars.
    [
        *(("IDR", 1_650_000_00), ("HUF", 36_000_00), ("TWD", 3_200_00), ("ISK", 12_500)),
        *(("UGX", 360_000), ("MGA", 450_000_00), ("LBP", 9_000_000_00), ("CLP", 95_000)),
    ],
)
def test_what_a_hundred_dollars_are_needs_no_person_in_any_currency(
    currency: str, minor_units: int
) -> None:
    limits = BUILT_IN.limits_of(currency)
    assert limits is not None
    assert minor_units < limits.guest_review_over_minor
    # Nor does a currency with large numbers let a thousand times as much pass.
    assert 1_000 * minor_units > limits.review_over_minor


async def test_unknown_versions(guard: Guard) -> None:
    error = await failure(
        guard.policies.GetPolicyVersion(pb.GetPolicyVersionRequest(policy_version="none"))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "POLICY_VERSION_NOT_FOUND")
    assert error.metadata == {"policy_version": "none"}


BUILT_IN_2 = Path(__file__).parent / "rules_1" / "built_in_2.json"


@pytest.mark.parametrize(
    ("found", "in_force"),
    [("built-in-2", "built-in-5"), ("built-in-10", "built-in-10"), ("2026-11-1", "2026-11-1")],
)
async def test_a_release_brings_its_built_in_policy_into_force_in_place_of_an_older_one(
    open_guard: OpenGuard, found: str, in_force: str
) -> None:
    async with open_guard() as guard:
        document = BUILT_IN_2.read_text().strip().replace("built-in-2", found)
        with psycopg.connect(guard.database_url) as connection:
            connection.execute(
                "UPDATE policy_version SET policy_version = %s, document = %s, content_hash = %s",
                [found, document, hashlib.sha256(document.encode()).digest()],
            )
    for _ in range(2):
        async with open_guard() as guard:
            assert (await guard.check(await guard.merchant())).policy_version == in_force
            listed = await guard.policies.ListPolicyVersions(pb.ListPolicyVersionsRequest())
            states = {item.policy_version: item.state for item in listed.versions}
            assert states.pop(in_force) == policy_pb2.POLICY_STATE_ACTIVE
            (other,) = states.items()
            assert other[0] in ({"built-in-5", found} - {in_force})
            assert other[1] == policy_pb2.POLICY_STATE_DRAFT


async def test_a_changed_document_under_an_old_version_stops_the_start(
    open_guard: OpenGuard,
) -> None:
    async with open_guard() as guard:
        with psycopg.connect(guard.database_url) as connection:
            connection.execute(
                "UPDATE policy_version SET document = replace(document, '0.85', '0.5')"
            )
    with pytest.raises(RuntimeError, match="built-in-5"):
        async with open_guard():
            pass
