"""From Stripe Tax's objects to ours. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.stripe_client.outcome import text_of
from gateway.v1 import merchant_tax_pb2 as pb

SETTINGS_STATES = {
    "active": pb.TAX_SETTINGS_STATE_ACTIVE,
    "pending": pb.TAX_SETTINGS_STATE_PENDING,
}
REGISTRATION_STATES = {
    "active": pb.TAX_REGISTRATION_STATE_ACTIVE,
    "scheduled": pb.TAX_REGISTRATION_STATE_SCHEDULED,
    "expired": pb.TAX_REGISTRATION_STATE_EXPIRED,
}
VERIFICATION_STATES = {
    "pending": pb.TAX_ID_VERIFICATION_STATE_PENDING,
    "verified": pb.TAX_ID_VERIFICATION_STATE_VERIFIED,
    "unverified": pb.TAX_ID_VERIFICATION_STATE_UNVERIFIED,
    "unavailable": pb.TAX_ID_VERIFICATION_STATE_UNAVAILABLE,
}
MAX_MISSING_FIELDS = 100


def tax_settings_of(values: Mapping[str, Any], fetch_time: datetime) -> pb.TaxSettings:
    """Stripe's `tax.settings`."""
    defaults = _mapping(values, "defaults")
    address = _mapping(_mapping(values, "head_office"), "address")
    missing = _mapping(_mapping(values, "status_details"), "pending").get("missing_fields")
    return pb.TaxSettings(
        state=SETTINGS_STATES.get(text_of(values, "status"), pb.TAX_SETTINGS_STATE_UNRECOGNIZED),
        missing_fields=sorted(
            field for field in (missing or [])[:MAX_MISSING_FIELDS] if isinstance(field, str)
        ),
        provider=text_of(defaults, "provider"),
        tax_behavior=text_of(defaults, "tax_behavior"),
        tax_code=text_of(defaults, "tax_code"),
        head_office_country_code=text_of(address, "country"),
        head_office_region=text_of(address, "state"),
        live_mode=values.get("livemode") is True,
        fetch_time=_timestamp(fetch_time),
    )


def tax_registration_of(values: Mapping[str, Any], fetch_time: datetime) -> pb.TaxRegistration:
    """Stripe's `tax.registration`."""
    country = text_of(values, "country")
    options = _mapping(_mapping(values, "country_options"), country.lower())
    registration = pb.TaxRegistration(
        id=text_of(values, "id"),
        country_code=country,
        region=_region_of(options),
        kind=text_of(options, "type"),
        state=REGISTRATION_STATES.get(
            text_of(values, "status"), pb.TAX_REGISTRATION_STATE_UNRECOGNIZED
        ),
        live_mode=values.get("livemode") is True,
        fetch_time=_timestamp(fetch_time),
    )
    _set_seconds(registration.active_from_time, values.get("active_from"))
    _set_seconds(registration.create_time, values.get("created"))
    if isinstance(values.get("expires_at"), int):
        registration.expire_time.FromSeconds(values["expires_at"])
    return registration


def tax_id_of(values: Mapping[str, Any], fetch_time: datetime) -> pb.TaxId:
    """Stripe's `tax_id`."""
    verification = values.get("verification")
    if isinstance(verification, Mapping):
        state = VERIFICATION_STATES.get(
            text_of(verification, "status"), pb.TAX_ID_VERIFICATION_STATE_UNRECOGNIZED
        )
    else:
        verification = {}
        state = pb.TAX_ID_VERIFICATION_STATE_NOT_CHECKED
    tax_id = pb.TaxId(
        id=text_of(values, "id"),
        kind=text_of(values, "type"),
        value=text_of(values, "value"),
        country_code=text_of(values, "country"),
        verification_state=state,
        verified_name=text_of(verification, "verified_name"),
        verified_address=text_of(verification, "verified_address"),
        live_mode=values.get("livemode") is True,
        fetch_time=_timestamp(fetch_time),
    )
    _set_seconds(tax_id.create_time, values.get("created"))
    return tax_id


def _region_of(options: Mapping[str, Any]) -> str:
    """The state of a US registration, the province of a Canadian one."""
    province = text_of(_mapping(options, "province_standard"), "province")
    return text_of(options, "state") or province


def _set_seconds(target: Timestamp, seconds: Any) -> None:
    if isinstance(seconds, int):
        target.FromSeconds(seconds)


def _timestamp(moment: datetime) -> Timestamp:
    found = Timestamp()
    found.FromDatetime(moment)
    return found


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}
