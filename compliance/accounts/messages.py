"""Snapshots, requirements and tax in the form of the contract."""

from datetime import datetime

from compliance.accounts.guidance import Guidance, guide
from compliance.accounts.persons import Person
from compliance.accounts.requirements import Requirement, earliest_deadline
from compliance.accounts.snapshot import AccountSnapshot, ExternalAccount
from compliance.checks.payout_destinations import stopped_currencies
from compliance.v1 import requirement_pb2 as pb
from compliance.wire_time import to_timestamp

_STATES = dict(enumerate(pb.RequirementState.values()))
_TAX_STATE_PREFIX = "TAX_SETTINGS_STATE_"
_PERSON_PREFIX = "PERSON_VERIFICATION_STATE_"
_VERIFICATION_PREFIX = "TAX_ID_VERIFICATION_STATE_"
_REGISTRATION_PREFIX = "TAX_REGISTRATION_STATE_"
_FORMAT_PREFIX = "TAX_ID_FORMAT_"


def snapshot_message(subject_id: str, snapshot: AccountSnapshot) -> pb.AccountSnapshot:
    content = snapshot.content
    return pb.AccountSnapshot(
        merchant_id=subject_id,
        corridor=snapshot.corridor,
        connected_account_id=snapshot.connected_account_id,
        charges_enabled=content.charges_enabled,
        payouts_enabled=content.payouts_enabled,
        details_submitted=content.details_submitted,
        disabled_reason=content.disabled_reason,
        capabilities=[
            pb.Capability(
                name=item.name,
                stripe_state=item.state.lower(),
                disabled_reason=item.disabled_reason,
                disabled_guidance=_disabled(item.disabled_reason),
            )
            for item in content.capabilities
        ],
        requirements=[requirement_message(item) for item in content.requirements],
        earliest_deadline_time=to_timestamp(earliest_deadline(content.requirements)),
        external_account_errored=content.external_account_errored,
        country_code=content.country_code,
        fetch_time=to_timestamp(snapshot.fetch_time),
        content_hash=content.content_hash,
        disabled_guidance=_disabled(content.disabled_reason),
        persons=[_person(item) for item in content.persons],
        persons_withheld=content.persons_withheld,
        external_accounts=[external_account_message(item) for item in content.external_accounts],
        truncated=content.truncated,
    )


def external_account_message(item: ExternalAccount) -> pb.ExternalAccount:
    return pb.ExternalAccount(
        external_account_id=item.external_account_id,
        kind=item.kind,
        currency_code=item.currency_code,
        stripe_state=item.state.lower(),
        default_for_currency=item.is_default,
        stops_payouts=bool(stopped_currencies([item.to_facts()])),
    )


def _person(item: Person) -> pb.AccountPerson:
    return pb.AccountPerson(
        person_id=item.person_id,
        roles=item.roles,
        verification_state=pb.PersonVerificationState.Value(_PERSON_PREFIX + item.verification),
        verification_codes=item.verification_codes,
        # Stripe has the same codes for refused requirements, with a word in front.
        verification_guidance=[
            guidance_message(guide().error(f"verification_{code}"))
            for code in item.verification_codes
        ],
    )


def guidance_message(guidance: Guidance) -> pb.Guidance:
    return pb.Guidance(words=guidance.words, fix=guidance.fix, known=guidance.is_known)


def _disabled(reason: str) -> pb.Guidance | None:
    return guidance_message(guide().disabled(reason)) if reason else None


def requirement_message(item: Requirement) -> pb.Requirement:
    return pb.Requirement(
        field=item.field,
        state=_STATES[item.severity],
        deadline_time=to_timestamp(item.deadline_time),
        capabilities=item.capabilities,
        error_codes=item.error_codes,
        future=item.future,
        alternative_fields=item.alternative_fields,
        hosted_only=item.hosted_only,
        guidance=guidance_message(guide().field(item.field)),
        error_guidance=[guidance_message(guide().error(code)) for code in item.error_codes],
        person_id=item.person_id,
        alternatives=[pb.RequirementAlternative(fields=fields) for fields in item.alternatives],
    )


def tax_message(subject_id: str, snapshot: AccountSnapshot, as_of: datetime) -> pb.TaxStatus:
    content = snapshot.content
    return pb.TaxStatus(
        merchant_id=subject_id,
        ready=content.tax_settings_state == "ACTIVE",
        settings_state=pb.TaxSettingsState.Value(_TAX_STATE_PREFIX + content.tax_settings_state),
        missing_fields=content.tax_missing_fields,
        tax_ids=[
            pb.TaxId(
                kind=item.type,
                masked_value=item.masked_value,
                country_code=item.country_code,
                verification_state=pb.TaxIdVerificationState.Value(
                    _VERIFICATION_PREFIX + item.verification
                ),
                format=pb.TaxIdFormat.Value(_FORMAT_PREFIX + item.format),
                name_agrees=item.name_agrees,
            )
            for item in content.tax_ids
        ],
        registrations=[
            pb.TaxRegistration(
                country_code=item.country_code,
                region=item.region,
                kind=item.kind,
                state=pb.TaxRegistrationState.Value(_REGISTRATION_PREFIX + item.state(as_of)),
                active_from_time=to_timestamp(item.active_from_time),
                expire_time=to_timestamp(item.expire_time),
            )
            for item in content.tax_registrations
        ],
        fetch_time=to_timestamp(snapshot.fetch_time),
    )
