"""Fetches connected accounts through the gateway's MerchantService: no Stripe key lives here."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import grpc
from google.protobuf.duration_pb2 import Duration

from compliance.accounts.persons import Person, joined, lists_of_person
from compliance.accounts.requirements import RequirementLists, merge, of_owner
from compliance.accounts.snapshot import (
    AccountContent,
    AccountSnapshot,
    Capability,
    ExternalAccount,
    TaxId,
    TaxRegistration,
)
from compliance.accounts.tax_ids import mask, names_agree, tax_id_format
from compliance.wire_time import to_datetime
from gateway.v1 import merchant_pb2, merchant_requirements_pb2, merchant_tax_pb2
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from runtime.errors import from_rpc_error
from runtime.logs import get_logger

MAX_TAX_IDS = 100
MAX_TAX_REGISTRATIONS = 100
_CAPABILITY_PREFIX = "CAPABILITY_STATE_"
_EXTERNAL_PREFIX = "EXTERNAL_ACCOUNT_STATE_"
_PERSON_PREFIX = "PERSON_VERIFICATION_STATE_"
_VERIFICATION = {
    merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_PENDING: "PENDING",
    merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_VERIFIED: "VERIFIED",
    merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_UNVERIFIED: "UNVERIFIED",
    merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_UNAVAILABLE: "UNAVAILABLE",
    # A word that the gateway does not know is a number that nobody confirmed.
    merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_UNRECOGNIZED: "UNAVAILABLE",
}
_TAX_SETTINGS = {
    merchant_tax_pb2.TAX_SETTINGS_STATE_ACTIVE: "ACTIVE",
    merchant_tax_pb2.TAX_SETTINGS_STATE_PENDING: "PENDING",
}

log = get_logger(__name__)


class AccountUnavailableError(Exception):
    """The account could not be fetched; the message is the gateway's code and reason."""


class AccountSource(Protocol):
    """Where snapshots come from."""

    async def fetch(self, account: "AccountReference", max_age: timedelta) -> AccountSnapshot:
        """The account as it was at most `max_age` ago. Raises `AccountUnavailableError`."""
        ...


class AccountReference(Protocol):
    """Which account to fetch, and whose it is; `gateway_merchant_id` is empty until known."""

    @property
    def connected_account_id(self) -> str: ...
    @property
    def gateway_merchant_id(self) -> str: ...
    @property
    def legal_name(self) -> str: ...
    @property
    def is_person(self) -> bool: ...


class GatewayAccounts:
    """The gateway as a source of snapshots."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._merchants = MerchantServiceStub(channel)

    async def fetch(self, account: AccountReference, max_age: timedelta) -> AccountSnapshot:
        """The account as Stripe last showed it to the gateway."""
        try:
            merchant_id = account.gateway_merchant_id or await self._merchant_id(account)
            synced, tax_settings, tax_ids, registrations = await asyncio.gather(
                self._merchants.SyncMerchant(
                    pb.SyncMerchantRequest(merchant_id=merchant_id, max_age=_duration(max_age))
                ),
                self._tax_settings(merchant_id),
                self._tax_ids(merchant_id),
                self._tax_registrations(merchant_id),
            )
        except grpc.aio.AioRpcError as error:
            received = from_rpc_error(error)
            raise AccountUnavailableError(f"{received.code.name} {received.reason}") from error
        return _snapshot(account, synced.merchant, tax_settings, tax_ids, registrations)

    def watch(self, epoch: int, after_sequence: int) -> Any:
        """The gateway's feed of changed accounts after a place in it; a call to read from.

        It waits for a gateway that is away: failures would use up what the channel's other calls
        may still be retried (`retryThrottling`).
        """
        return self._merchants.WatchMerchants(
            pb.WatchMerchantsRequest(epoch=epoch, after_sequence=after_sequence),
            wait_for_ready=True,
        )

    async def link(self, request: pb.CreateOnboardingLinkRequest) -> merchant_pb2.OnboardingLink:
        """A page at Stripe. Raises `grpc.aio.AioRpcError`."""
        answer = await self._merchants.CreateOnboardingLink(request)
        made: merchant_pb2.OnboardingLink = answer.link
        return made

    async def _merchant_id(self, account: AccountReference) -> str:
        found = await self._merchants.GetMerchant(
            pb.GetMerchantRequest(connected_account_id=account.connected_account_id)
        )
        return str(found.merchant.merchant_id)

    async def _tax_settings(self, merchant_id: str) -> merchant_tax_pb2.TaxSettings:
        """The settings; empty where they cannot be had, which warns and stops no payment."""
        try:
            answer = await self._merchants.GetTaxSettings(
                pb.GetTaxSettingsRequest(merchant_id=merchant_id)
            )
        except grpc.aio.AioRpcError as error:
            log.warning("tax_settings_not_fetched", code=error.code().name)
            return merchant_tax_pb2.TaxSettings()
        return answer.tax_settings

    async def _tax_ids(self, merchant_id: str) -> list[merchant_tax_pb2.TaxId]:
        """The tax ids; none where they cannot be had, which is noticed by the settings, too."""
        try:
            answer = await self._merchants.ListTaxIds(
                pb.ListTaxIdsRequest(
                    owner=merchant_tax_pb2.TaxIdOwner(merchant_id=merchant_id),
                    page_size=MAX_TAX_IDS,
                )
            )
        except grpc.aio.AioRpcError as error:
            log.warning("tax_ids_not_fetched", code=error.code().name)
            return []
        return list(answer.tax_ids)

    async def _tax_registrations(self, merchant_id: str) -> list[merchant_tax_pb2.TaxRegistration]:
        """Where tax is collected; nowhere where it cannot be had, as with tax ids."""
        try:
            answer = await self._merchants.ListTaxRegistrations(
                pb.ListTaxRegistrationsRequest(
                    merchant_id=merchant_id, page_size=MAX_TAX_REGISTRATIONS
                )
            )
        except grpc.aio.AioRpcError as error:
            log.warning("tax_registrations_not_fetched", code=error.code().name)
            return []
        return list(answer.tax_registrations)


def _snapshot(
    account: AccountReference,
    merchant: merchant_pb2.Merchant,
    tax_settings: merchant_tax_pb2.TaxSettings,
    tax_ids: list[merchant_tax_pb2.TaxId],
    registrations: list[merchant_tax_pb2.TaxRegistration],
) -> AccountSnapshot:
    if not merchant.HasField("snapshot"):
        raise AccountUnavailableError("the gateway has no snapshot")
    if merchant.connected_account_id != account.connected_account_id:
        raise AccountUnavailableError("the gateway answered with another account")
    seen = merchant.snapshot
    persons = tuple(map(_person, seen.persons))
    is_connected = merchant.state == merchant_pb2.MERCHANT_STATE_CONNECTED
    content = AccountContent(
        # An account that left the platform keeps its last words; they do not hold any more.
        charges_enabled=seen.charges_enabled and is_connected,
        payouts_enabled=seen.payouts_enabled and is_connected,
        details_submitted=seen.details_submitted,
        disabled_reason=seen.requirements.disabled_reason,
        country_code=seen.country_code,
        external_account_errored=any(
            item.state == merchant_pb2.EXTERNAL_ACCOUNT_STATE_ERRORED
            for item in seen.external_accounts
        ),
        capabilities=tuple(
            Capability(
                name=item.name,
                state=merchant_pb2.CapabilityState.Name(item.state).removeprefix(
                    _CAPABILITY_PREFIX
                ),
                requested=item.requested,
                disabled_reason=item.requirements.disabled_reason,
            )
            for item in seen.capabilities
        ),
        requirements=joined(merge(_requirement_lists(seen)), persons),
        tax_settings_state=_TAX_SETTINGS.get(tax_settings.state, "UNSPECIFIED"),
        tax_missing_fields=tuple(tax_settings.missing_fields),
        tax_ids=tuple(_tax_id(item, account) for item in tax_ids),
        tax_registrations=tuple(sorted(map(_tax_registration, registrations), key=_place)),
        persons=persons,
        persons_withheld=seen.persons_withheld,
        external_accounts=tuple(map(_external_account, seen.external_accounts)),
        truncated=seen.truncated or any(said.truncated for said in _all_requirements(seen)),
    )
    return AccountSnapshot(
        connected_account_id=account.connected_account_id,
        corridor=merchant.corridor,
        gateway_merchant_id=merchant.merchant_id,
        content=content,
        fetch_time=to_datetime(seen.fetch_time),
    )


def _requirement_lists(seen: merchant_pb2.AccountSnapshot) -> Iterator[RequirementLists]:
    account = list(_lists_of_account(seen))
    yield from account
    for said in seen.persons:
        yield from lists_of_person(
            _person(said),
            _lists(said.requirements, "", future=False),
            _lists(said.future_requirements, "", future=True),
            account,
        )
    # A bank account has no deadline of its own either.
    now, later = account[0].deadline_time, account[1].deadline_time
    for external in seen.external_accounts:
        for said_of, deadline_time, future in (
            (external.requirements, now, False),
            (external.future_requirements, later, True),
        ):
            lists = of_owner(_lists(said_of, "", future=future), external.id)
            yield replace(lists, deadline_time=deadline_time)


def _all_requirements(
    seen: merchant_pb2.AccountSnapshot,
) -> Iterator[merchant_requirements_pb2.Requirements]:
    yield from (seen.requirements, seen.future_requirements)
    for capability in seen.capabilities:
        if capability.requested:
            yield from (capability.requirements, capability.future_requirements)
    for person in seen.persons:
        yield from (person.requirements, person.future_requirements)
    for external in seen.external_accounts:
        yield from (external.requirements, external.future_requirements)


def _lists_of_account(seen: merchant_pb2.AccountSnapshot) -> Iterator[RequirementLists]:
    yield _lists(seen.requirements, "", future=False)
    yield _lists(seen.future_requirements, "", future=True)
    for capability in seen.capabilities:
        # What nobody asked for is not due.
        if capability.requested:
            yield _lists(capability.requirements, capability.name, future=False)
            yield _lists(capability.future_requirements, capability.name, future=True)


def _external_account(said: merchant_pb2.ExternalAccount) -> ExternalAccount:
    state = merchant_pb2.ExternalAccountState.Name(said.state)
    return ExternalAccount(
        external_account_id=said.id,
        kind=said.kind,
        currency_code=said.currency_code,
        state=state.removeprefix(_EXTERNAL_PREFIX),
        is_default=said.default_for_currency,
    )


def _person(said: merchant_pb2.AccountPerson) -> Person:
    state = merchant_pb2.PersonVerificationState.Name(said.verification_state)
    return Person(
        person_id=said.id,
        roles=tuple(said.roles),
        verification=state.removeprefix(_PERSON_PREFIX),
        verification_codes=tuple(said.verification_codes),
        is_individual=said.individual,
    )


def _lists(
    said: merchant_requirements_pb2.Requirements, capability: str, *, future: bool
) -> RequirementLists:
    return RequirementLists(
        capability=capability,
        future=future,
        currently_due=said.currently_due,
        past_due=said.past_due,
        eventually_due=said.eventually_due,
        pending_verification=said.pending_verification,
        deadline_time=to_datetime(said.current_deadline_time)
        if said.HasField("current_deadline_time")
        else None,
        alternatives=[
            (item.original_fields_due, item.alternative_fields_due) for item in said.alternatives
        ],
        errors=[(item.requirement, item.code) for item in said.errors],
    )


def _tax_id(said: merchant_tax_pb2.TaxId, account: AccountReference) -> TaxId:
    verification = _VERIFICATION.get(said.verification_state, "UNSPECIFIED")
    return TaxId(
        type=said.kind,
        masked_value=mask(said.value),
        country_code=said.country_code,
        verification=verification,
        format=tax_id_format(said.kind, said.value, verification),
        name_agrees=names_agree(
            said.verified_name, account.legal_name, is_person=account.is_person
        ),
    )


def _tax_registration(said: merchant_tax_pb2.TaxRegistration) -> TaxRegistration:
    return TaxRegistration(
        country_code=said.country_code,
        region=said.region,
        kind=said.kind,
        active_from_time=to_datetime(said.active_from_time),
        expire_time=to_datetime(said.expire_time) if said.HasField("expire_time") else None,
    )


def _place(item: TaxRegistration) -> tuple[str, str, str, datetime]:
    return (item.country_code, item.region, item.kind, item.active_from_time)


def _duration(length: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(length)
    return duration
