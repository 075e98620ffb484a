"""Policy documents in the form of the contract, and what has to be true of one that is stored."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from compliance.checks.country_programmes import CountryProgramme
from compliance.checks.expressions import MAX_EXPRESSION_BYTES, ExpressionError, check_expression
from compliance.checks.findings import Verdict
from compliance.checks.history import MAX_CUSTOMERS, Scope, Window
from compliance.checks.history_limits import HistoryLimit, Measure
from compliance.checks.identity import VerificationRequirement
from compliance.checks.messages import verdict_enum, verdict_word
from compliance.checks.policy import CurrencyLimits, Policy, PolicyRule
from compliance.checks.rate_limits import RateLimit, RateMeasure
from compliance.checks.rates import BASIS_POINTS, RateWindow
from compliance.request_fields import country, currency, identifier
from compliance.v1 import decision_pb2, policy_pb2, subject_pb2, verification_pb2
from compliance.wire_time import to_datetime, to_duration, to_timestamp
from runtime.rule import Rule
from runtime.rules import (
    check,
    duration,
    each_text,
    enum,
    integer,
    repeated,
    text,
    timestamp,
)

MAX_VERSION_BYTES = 64
MAX_LIMITS = 300
MAX_COUNTRIES = 300
MAX_PROGRAMMES = 1_000
MAX_RULES = 50
MAX_HISTORY_LIMITS = 50
MAX_AT_LEAST = 1_000_000
MAX_VERIFICATION_REQUIREMENTS = 20
MIN_VERIFICATION_AGE, MAX_VERIFICATION_AGE = timedelta(days=1), timedelta(days=3_660)
MAX_OVER_PERCENT = 1_000_000
MAX_NEAR_LIMIT_PERCENT = 100
MAX_RATE_LIMITS = 50
# A hundred disputes or refunds for each payment.
MAX_RATE = 100 * BASIS_POINTS
MAX_RATES_AGE = timedelta(days=30)
MAX_SOURCE_BYTES = 512
MAX_MINOR_UNITS = 2**53
MAX_SNAPSHOT_AGE = timedelta(days=1)
MAX_LIST_AGE = timedelta(days=30)
MAX_NOTICE = timedelta(days=365)
MIN_AGE = timedelta(seconds=1)
MIN_THRESHOLD = 0.5

_MEASURES = {
    measure.value: policy_pb2.HistoryMeasure.Value(f"HISTORY_MEASURE_{measure}")
    for measure in Measure
}
_SCOPES = {scope.value: policy_pb2.HistoryScope.Value(f"HISTORY_SCOPE_{scope}") for scope in Scope}
_WINDOWS = {
    "": policy_pb2.HISTORY_WINDOW_UNSPECIFIED,
    **{
        window.value: policy_pb2.HistoryWindow.Value(f"HISTORY_WINDOW_{window.upper()}")
        for window in Window
    },
}
_RATE_MEASURES = {
    measure.value: policy_pb2.RateMeasure.Value(f"RATE_MEASURE_{measure}")
    for measure in RateMeasure
}
_RATE_WINDOWS = {
    window.value: policy_pb2.RateWindow.Value(f"RATE_WINDOW_{window.upper()}")
    for window in RateWindow
}
_KIND, _KIND_PREFIX = subject_pb2.SubjectKind, "SUBJECT_KIND_"
_TYPE, _TYPE_PREFIX = verification_pb2.VerificationType, "VERIFICATION_TYPE_"
_DORMANT = policy_pb2.HISTORY_MEASURE_DORMANT_DAYS
_CUSTOMERS = policy_pb2.HISTORY_MEASURE_CUSTOMERS
_WITH_AT_LEAST = (_DORMANT, policy_pb2.HISTORY_MEASURE_AVERAGE_PERCENT)

_COUNTRY = re.compile(r"[A-Z]{2}")
_BUILT_IN = re.compile(r"built-in-\d+")


def policy_of(version: str, document: policy_pb2.PolicyDocument) -> Policy:
    """The policy of a document that keeps the rules below."""
    return Policy(
        version=version,
        prohibited_country_codes=tuple(sorted(document.prohibited_country_codes)),
        limits=tuple(
            CurrencyLimits(
                currency_code=limits.currency_code,
                review_over_minor=limits.review_over_minor,
                deny_over_minor=limits.deny_over_minor,
                guest_review_over_minor=limits.guest_review_over_minor,
            )
            for limits in document.limits
        ),
        snapshot_max_age=document.snapshot_max_age.ToTimedelta(),
        list_warn_age=document.list_warn_age.ToTimedelta(),
        list_max_age=document.list_max_age.ToTimedelta(),
        requirement_notice=document.requirement_notice.ToTimedelta(),
        match_threshold=document.match_threshold,
        country_programmes=tuple(
            CountryProgramme(
                country_code=item.country_code,
                start_time=to_datetime(item.start_time),
                end_time=to_datetime(item.end_time) if item.HasField("end_time") else None,
                programme=item.programme,
                source=item.source,
            )
            for item in document.country_programmes
        ),
        rules=tuple(
            PolicyRule(rule.name, rule.expression, verdict_word(rule.verdict))
            for rule in document.rules
        ),
        history_limits=tuple(
            HistoryLimit(
                measure=Measure(_word(_MEASURES, limit.measure)),
                scope=Scope(_word(_SCOPES, limit.scope)),
                window=_word(_WINDOWS, limit.window),
                over=limit.over,
                at_least=limit.at_least,
                outcome=verdict_word(limit.outcome),
            )
            for limit in document.history_limits
        ),
        near_limit_percent=document.near_limit_percent or MAX_NEAR_LIMIT_PERCENT,
        rate_limits=tuple(
            RateLimit(
                measure=RateMeasure(_word(_RATE_MEASURES, limit.measure)),
                window=_word(_RATE_WINDOWS, limit.window),
                over_bp=limit.over_basis_points,
                at_least=limit.at_least_payments,
                outcome=verdict_word(limit.outcome),
            )
            for limit in document.rate_limits
        ),
        rates_max_age=(
            document.rates_max_age.ToTimedelta() if document.HasField("rates_max_age") else None
        ),
        unknown_rates_outcome=(
            verdict_word(document.unknown_rates_outcome) if document.unknown_rates_outcome else ""
        ),
        verification_requirements=tuple(
            VerificationRequirement(
                subject_kind=_KIND.Name(item.subject_kind).removeprefix(_KIND_PREFIX),
                max_age=item.max_age.ToTimedelta(),
                outcome=verdict_word(item.outcome),
                over_percent=item.over_percent,
                type=_TYPE.Name(item.type).removeprefix(_TYPE_PREFIX) if item.type else "",
            )
            for item in document.verification_requirements
        ),
    )


def document_of(policy: Policy) -> policy_pb2.PolicyDocument:
    """A policy as clients see it."""
    return policy_pb2.PolicyDocument(
        prohibited_country_codes=policy.prohibited_country_codes,
        limits=[
            policy_pb2.CurrencyLimits(
                currency_code=limits.currency_code,
                review_over_minor=limits.review_over_minor,
                deny_over_minor=limits.deny_over_minor,
                guest_review_over_minor=limits.guest_review_over_minor,
            )
            for limits in policy.limits
        ],
        snapshot_max_age=to_duration(policy.snapshot_max_age),
        list_warn_age=to_duration(policy.list_warn_age),
        list_max_age=to_duration(policy.list_max_age),
        requirement_notice=to_duration(policy.requirement_notice),
        match_threshold=policy.match_threshold,
        country_programmes=[
            policy_pb2.CountryProgramme(
                country_code=item.country_code,
                start_time=to_timestamp(item.start_time),
                end_time=to_timestamp(item.end_time),
                programme=item.programme,
                source=item.source,
            )
            for item in policy.country_programmes
        ],
        rules=[
            policy_pb2.PolicyRule(
                name=rule.name,
                expression=rule.expression,
                verdict=verdict_enum(Verdict[rule.verdict]),
            )
            for rule in policy.rules
        ],
        history_limits=[
            policy_pb2.HistoryLimit(
                measure=_MEASURES[limit.measure],
                scope=_SCOPES[limit.scope],
                window=_WINDOWS[limit.window],
                over=limit.over,
                at_least=limit.at_least,
                outcome=verdict_enum(Verdict[limit.outcome]),
            )
            for limit in policy.history_limits
        ],
        near_limit_percent=policy.near_limit_percent,
        rate_limits=[
            policy_pb2.RateLimit(
                measure=_RATE_MEASURES[limit.measure],
                window=_RATE_WINDOWS[limit.window],
                over_basis_points=limit.over_bp,
                at_least_payments=limit.at_least,
                outcome=verdict_enum(Verdict[limit.outcome]),
            )
            for limit in policy.rate_limits
        ],
        rates_max_age=(None if policy.rates_max_age is None else to_duration(policy.rates_max_age)),
        unknown_rates_outcome=(
            verdict_enum(Verdict[policy.unknown_rates_outcome])
            if policy.unknown_rates_outcome
            else decision_pb2.VERDICT_UNSPECIFIED
        ),
        verification_requirements=[
            policy_pb2.VerificationRequirement(
                subject_kind=_KIND.Value(_KIND_PREFIX + item.subject_kind),
                type=_TYPE.Value(_TYPE_PREFIX + (item.type or "UNSPECIFIED")),
                max_age=to_duration(item.max_age),
                over_percent=item.over_percent,
                outcome=verdict_enum(Verdict[item.outcome]),
            )
            for item in policy.verification_requirements
        ],
    )


def _word(words: Mapping[str, int], number: int) -> str:
    return next(word for word, value in words.items() if value == number)


def policy_version(field: str = "policy_version") -> Rule:
    """The name of a version."""
    return identifier(field, max_bytes=MAX_VERSION_BYTES)


def is_not_built_in(request: Any) -> str | None:
    is_taken = _BUILT_IN.fullmatch(request.policy_version)
    return "is the name of a release's own policy" if is_taken else None


def _limits_rise(limits: Any) -> str | None:
    rises = limits.review_over_minor <= limits.deny_over_minor
    return None if rises else "is less than review_over_minor"


def _each_once(field: str, name: str) -> Rule:
    def problem(document: Any) -> str | None:
        seen: set[str] = set()
        for index, item in enumerate(getattr(document, field)):
            value = getattr(item, name)
            if value in seen:
                return f"[{index}].{name}: {value} is there twice"
            seen.add(value)
        return None

    return check(field, problem)


def _threshold(document: Any) -> str | None:
    is_within = MIN_THRESHOLD <= document.match_threshold <= 1.0
    return None if is_within else f"is not within {MIN_THRESHOLD} and 1"


def _warns_first(document: Any) -> str | None:
    warn, most = document.list_warn_age, document.list_max_age
    # As numbers: that they are lengths of time is another rule's to say.
    warns = (warn.seconds, warn.nanos) <= (most.seconds, most.nanos)
    return None if warns else "is less than list_warn_age"


def _ends_later(programme: Any) -> str | None:
    start, end = programme.start_time, programme.end_time
    if not programme.HasField("end_time"):
        return None
    # As numbers: that they are times is another rule's to say.
    later = (end.seconds, end.nanos) > (start.seconds, start.nanos)
    return None if later else "is not after start_time"


def _means_something(rule: Any) -> str | None:
    try:
        check_expression(rule.expression)
    except ExpressionError as error:
        return str(error)
    return None


def _is_worse(rule: Any) -> str | None:
    worse = decision_pb2.VERDICT_REVIEW, decision_pb2.VERDICT_DENY
    return None if rule.verdict in worse else "is neither REVIEW nor DENY"


def _window_where_it_has_one(limit: Any) -> str | None:
    if limit.measure == _DORMANT:
        return "is not what it measures" if limit.window else None
    return None if limit.window else "is not given"


def _scope_of_its_measure(limit: Any) -> str | None:
    is_right = limit.measure != _CUSTOMERS or limit.scope == policy_pb2.HISTORY_SCOPE_CARD
    return None if is_right else "is not CARD, which has customers"


def _over_what_is_known(limit: Any) -> str | None:
    is_known = limit.measure != _CUSTOMERS or limit.over <= MAX_CUSTOMERS
    return (
        None if is_known else f"is more than the {MAX_CUSTOMERS} customers that a card is kept with"
    )


def _at_least_where_it_counts(limit: Any) -> str | None:
    counts = limit.measure in _WITH_AT_LEAST or not limit.at_least
    return None if counts else "has no meaning for this measure"


def _near_with_limits(document: Any) -> str | None:
    is_missing = document.history_limits and not document.near_limit_percent
    return "is not given" if is_missing else None


def _each_limit_once(field: str, *names: str) -> Rule:
    def problem(document: Any) -> str | None:
        seen: set[tuple[int, ...]] = set()
        for index, limit in enumerate(getattr(document, field)):
            key = tuple(getattr(limit, name) for name in names)
            if key in seen:
                return f"[{index}]: the same is measured with the same outcome before"
            seen.add(key)
        return None

    return check(field, problem)


def _outcome_with_an_age(document: Any) -> str | None:
    has_age = document.HasField("rates_max_age")
    return (
        "is given without rates_max_age" if document.unknown_rates_outcome and not has_age else None
    )


def _each_requirement_once(document: Any) -> str | None:
    seen: set[bytes] = set()
    for index, requirement in enumerate(document.verification_requirements):
        key = requirement.SerializeToString(deterministic=True)
        if key in seen:
            return f"[{index}]: the same is there before"
        seen.add(key)
    return None


DOCUMENT_RULES = {
    policy_pb2.VerificationRequirement: [
        enum("subject_kind", required=True),
        enum("type"),
        duration(
            "max_age", required=True, minimum=MIN_VERIFICATION_AGE, maximum=MAX_VERIFICATION_AGE
        ),
        integer("over_percent", minimum=0, maximum=MAX_OVER_PERCENT),
        enum("outcome", required=True),
    ],
    policy_pb2.HistoryLimit: [
        enum("measure", required=True),
        enum("scope", required=True),
        check("scope", _scope_of_its_measure),
        enum("window"),
        check("window", _window_where_it_has_one),
        integer("over", minimum=0, maximum=MAX_MINOR_UNITS),
        check("over", _over_what_is_known),
        integer("at_least", minimum=0, maximum=MAX_AT_LEAST),
        check("at_least", _at_least_where_it_counts),
        enum("outcome", required=True),
    ],
    policy_pb2.RateLimit: [
        enum("measure", required=True),
        enum("window", required=True),
        integer("over_basis_points", minimum=0, maximum=MAX_RATE),
        integer("at_least_payments", minimum=1, maximum=MAX_AT_LEAST),
        enum("outcome", required=True),
    ],
    policy_pb2.CurrencyLimits: [
        *currency(),
        integer("review_over_minor", minimum=0, maximum=MAX_MINOR_UNITS),
        integer("deny_over_minor", minimum=0, maximum=MAX_MINOR_UNITS),
        check("deny_over_minor", _limits_rise),
        integer("guest_review_over_minor", minimum=0, maximum=MAX_MINOR_UNITS),
    ],
    policy_pb2.CountryProgramme: [
        country("country_code", required=True),
        timestamp("start_time", required=True),
        timestamp("end_time"),
        check("end_time", _ends_later),
        text("programme", required=True, max_bytes=MAX_SOURCE_BYTES),
        text("source", required=True, max_bytes=MAX_SOURCE_BYTES),
    ],
    policy_pb2.PolicyRule: [
        identifier("name", max_bytes=MAX_VERSION_BYTES),
        text("expression", required=True, max_bytes=MAX_EXPRESSION_BYTES),
        check("expression", _means_something),
        enum("verdict", required=True),
        check("verdict", _is_worse),
    ],
    policy_pb2.PolicyDocument: [
        repeated(
            "prohibited_country_codes",
            max_items=MAX_COUNTRIES,
            each=each_text(max_bytes=2, pattern=_COUNTRY),
        ),
        repeated("limits", min_items=1, max_items=MAX_LIMITS),
        _each_once("limits", "currency_code"),
        duration("snapshot_max_age", required=True, minimum=MIN_AGE, maximum=MAX_SNAPSHOT_AGE),
        duration("list_warn_age", required=True, minimum=MIN_AGE, maximum=MAX_LIST_AGE),
        duration("list_max_age", required=True, minimum=MIN_AGE, maximum=MAX_LIST_AGE),
        check("list_max_age", _warns_first),
        duration("requirement_notice", required=True, maximum=MAX_NOTICE),
        check("match_threshold", _threshold),
        repeated("country_programmes", max_items=MAX_PROGRAMMES),
        repeated("rules", max_items=MAX_RULES),
        _each_once("rules", "name"),
        repeated("history_limits", max_items=MAX_HISTORY_LIMITS),
        _each_limit_once("history_limits", "measure", "scope", "window", "outcome"),
        integer("near_limit_percent", minimum=0, maximum=MAX_NEAR_LIMIT_PERCENT),
        check("near_limit_percent", _near_with_limits),
        repeated("rate_limits", max_items=MAX_RATE_LIMITS),
        _each_limit_once("rate_limits", "measure", "window", "outcome"),
        duration("rates_max_age", minimum=MIN_AGE, maximum=MAX_RATES_AGE),
        enum("unknown_rates_outcome"),
        check("unknown_rates_outcome", _outcome_with_an_age),
        repeated("verification_requirements", max_items=MAX_VERIFICATION_REQUIREMENTS),
        check("verification_requirements", _each_requirement_once),
    ],
}
