"""Each alert fires on what it is about, and is silent otherwise: Debian's promtool plays them.

Where promtool is not installed the rules are still checked for having their scenes; `.ci/run`
installs it.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_monitoring import alert_rules

PROMTOOL = shutil.which("promtool")
# So long each scene lasts, with a sample a minute.
MINUTES = 90


@dataclass(frozen=True)
class Scene:
    """Series with promtool's notation of their samples, while an alert fires and while not."""

    alert: str
    fires: tuple[str, ...]
    quiet: tuple[str, ...]


def always(series: str, value: float) -> str:
    """A series that never changes."""
    return f"{series} => {value}x{MINUTES}"


def once(series: str) -> str:
    """A counter that has one event ten minutes before the end, with its first sample at nought."""
    return f"{series} => 0x{MINUTES - 10} 1x9"


def rising(series: str, by: float) -> str:
    """A counter that goes up all the time, by so much a minute."""
    return f"{series} => 0+{by}x{MINUTES}"


def gauge(alert: str, series: str, fires: float, quiet: float = 0) -> Scene:
    """An alert about a state."""
    return Scene(alert, (always(series, fires),), (always(series, quiet),))


def since(alert: str, series: str, minutes: float) -> Scene:
    """An alert about a time that lies too far back: here so far before the end."""
    end = MINUTES * 60
    return Scene(alert, (always(series, end - minutes * 60),), (always(series, end),))


JOBS = ("ledger", "gateway", "compliance", "reconciliation")
UP = tuple(always(f'up{{job="{job}",instance="one"}}', 1) for job in JOBS)
SWEPT = 'gateway_balance_last_sweep_timestamp_seconds{corridor="default"}'
BILLED = 'gateway_billing_last_walk_timestamp_seconds{corridor="default",kind="invoice"}'
BILLING_INTERVAL = "gateway_billing_walk_interval_seconds"
BILLING_WALKS = 'gateway_billing_walks_total{corridor="default",kind="invoice",result="%s"}'
BILLING_UNREADABLE = 'gateway_billing_unreadable_total{corridor="default",kind="invoice"}'
SIGMA_RUNS = 'gateway_sigma_runs_total{corridor="default",state="%s"}'
SIGMA_UNREADABLE = 'gateway_sigma_runs_unreadable_total{corridor="default"}'
SIGMA_FILES = 'gateway_sigma_files_total{corridor="default",result="%s"}'
QUERIED = 'gateway_sigma_last_walk_timestamp_seconds{corridor="default"}'
SIGMA_INTERVAL = "gateway_sigma_walk_interval_seconds"
FALLS_BACK = 'gateway_routing_fall_backs_total{choice="%s",reason="%s"}'
UNDONE = 'gateway_routing_undone_total{subject="RETRY_TIME"}'
FORESEEN = 'gateway_foresight_last_minute_timestamp_seconds{corridor="default"}'
UNFORESEEN = 'gateway_foresight_unreadable_total{kind="memory"}'
NEXT_FREEZE = 'compliance_freeze_next_timestamp_seconds{kind="PAYOUTS"}'
OLDEST_DOCUMENT = 'compliance_document_oldest_timestamp_seconds{state="CHECKED"}'
IDENTITY = 'gateway_verifications_oldest_seconds{stage="%s"}'
BREAKS = 'reconciliation_breaks_open{kind="%s",age="%s"}'
CLOSED = 'reconciliation_closed_until_timestamp_seconds{corridor="main"}'
OLDEST_MAIL = "compliance_notice_mail_oldest_timestamp_seconds"
REQUIRED = 'database_durability_required{job="ledger",instance="one"}'
DURABLE = 'database_durability{job="ledger",instance="one",durability="SYNCHRONOUS"}'
LEADING = 'gateway_leader_task_leading{task="t",instance="one"}'
LOOP = 'loop_last_success_timestamp_seconds{job="gateway",loop="l"}'
LOOP_RESTS = always('loop_poll_seconds{job="gateway",loop="l"}', 1)
OPEN_BREAKS = 'reconciliation_breaks_open{kind="%s",age="%s"}'
STORE = 'reconciliation_statement_store_reachable{bank_account="a"}'
OUTCOMES = 'gateway_stripe_outcomes_total{corridor="default",outcome="%s"}'
STARTED = 'process_start_time_seconds{job="gateway"}'

SCENES = (
    Scene("ProcessDown", (*UP[:2], always('up{job="compliance",instance="one"}', 0)), UP),
    Scene("ProcessDown", UP[1:], UP),
    gauge("DependencyDown", 'dependency_up{service="gateway",dependency="database"}', 0, 1),
    Scene(
        "DatabaseNotSynchronous",
        (always(REQUIRED, 1), always(DURABLE, 0)),
        (always(REQUIRED, 1), always(DURABLE, 1)),
    ),
    # Where nobody requires it, it is nobody's page.
    Scene(
        "DatabaseNotSynchronous",
        (always(REQUIRED, 1), always(DURABLE, 0)),
        (always(REQUIRED, 0), always(DURABLE, 0)),
    ),
    Scene("ProcessRestarts", (rising(STARTED, 60),), (always(STARTED, 5),)),
    Scene(
        "LoopLate",
        (always(LOOP, MINUTES * 60 - 600), LOOP_RESTS),
        (always(LOOP, MINUTES * 60), LOOP_RESTS),
    ),
    Scene(
        "ItemsSetAside",
        (once('loop_items_failed_total{job="gateway",items="i",failure="unreadable"}'),),
        (always('loop_items_failed_total{job="gateway",items="i",failure="unreadable"}', 1),),
    ),
    Scene(
        "InternalErrors",
        ('rpc_calls_total{job="gateway",method="/m",code="INTERNAL"} => 0x87 1x2',),
        ('rpc_calls_total{job="gateway",method="/m",code="OK"} => 0+9x90',),
    ),
    Scene(
        "CommitsRefused",
        ('gateway_payment_commits_refused_total{instance="one"} => 0x87 1x2',),
        (always('gateway_payment_commits_refused_total{instance="one"}', 1),),
    ),
    gauge(
        "StripeBreakerOpen",
        'gateway_stripe_breaker_state{corridor="default",endpoint_group="g"}',
        2,
        1,
    ),
    Scene(
        "StripeOutcomesUnknown",
        (rising(OUTCOMES % "UNKNOWN", 10), rising(OUTCOMES % "SUCCEEDED", 100)),
        (rising(OUTCOMES % "UNKNOWN", 1), rising(OUTCOMES % "SUCCEEDED", 100)),
    ),
    gauge("StripeSlow", 'gateway_stripe_corridor_slow{corridor="default"}', 1),
    Scene(
        "CustomersShed",
        (rising('gateway_stripe_shed_total{corridor="c",priority="customer_present"}', 1),),
        (rising('gateway_stripe_shed_total{corridor="c",priority="background"}', 1),),
    ),
    Scene(
        "FailoverNowhere",
        (rising('gateway_payment_failovers_total{corridor="c",to="",reason="r"}', 1),),
        (rising('gateway_payment_failovers_total{corridor="c",to="d",reason="r"}', 1),),
    ),
    gauge("OutcomeUnknownLong", 'gateway_operations_oldest_seconds{kind="k",state="UNKNOWN"}', 901),
    gauge("OperationsDead", 'gateway_operations_open{kind="k",state="DEAD_LETTER"}', 1),
    gauge("QueueOld", 'gateway_payments_queued_oldest_seconds{corridor="c"}', 601, 600),
    gauge("ReviewsOld", "gateway_payments_in_review_oldest_seconds", 43_201, 43_200),
    gauge("LeaderTaskWithoutLeader", LEADING, 0, 1),
    Scene("LeaderTaskWithoutLeader", (), (always(LEADING, 1),)),
    gauge("ClockWrong", 'gateway_clock_ahead_seconds{instance="one"}', -61, 60),
    gauge("BookingsRefused", "gateway_bookings_refused", 1),
    gauge("BookingsLate", "gateway_booking_lag_seconds", 301, 300),
    gauge("LedgerBehind", "gateway_ledger_behind", 1),
    gauge(
        "BooksDiffer",
        'gateway_ledger_balance_difference_minor{corridor="c",currency="EUR",part="p"}',
        -1,
    ),
    gauge("MoneyInSuspense", 'gateway_ledger_suspense_minor{corridor="c",currency="EUR"}', -5),
    gauge(
        "BalanceDiffers",
        'gateway_balance_difference_minor{corridor="c",currency="EUR",part="p"}',
        -1,
    ),
    since("BalanceNotSwept", SWEPT, 70),
    Scene("BalanceNotSwept", (), (always(SWEPT, MINUTES * 60),)),
    Scene(
        "BillingNotWalked",
        (always(BILLED, 0), always(BILLING_INTERVAL, 1_200)),
        (always(BILLED, 0), always(BILLING_INTERVAL, 86_400)),
    ),
    Scene(
        "BillingWalkStops",
        (rising(BILLING_WALKS % "stopped", 1),),
        (rising(BILLING_WALKS % "page", 1), once(BILLING_WALKS % "stopped")),
    ),
    Scene("BillingUnreadable", (once(BILLING_UNREADABLE),), (always(BILLING_UNREADABLE, 3),)),
    Scene("SigmaRunFailed", (once(SIGMA_RUNS % "TIMED_OUT"),), (once(SIGMA_RUNS % "COMPLETED"),)),
    Scene("SigmaRunUnreadable", (once(SIGMA_UNREADABLE),), (always(SIGMA_UNREADABLE, 3),)),
    Scene(
        "SigmaFileNotKept",
        (once(SIGMA_FILES % "LOST"),),
        (once(SIGMA_FILES % "KEPT"), once(SIGMA_FILES % "TRIED_AGAIN")),
    ),
    gauge("SigmaFileWaits", "gateway_sigma_file_oldest_wanted_seconds", 7_300, 7_100),
    Scene(
        "SigmaNotWalked",
        (always(QUERIED, 0), always(SIGMA_INTERVAL, 1_200)),
        (always(QUERIED, 0), always(SIGMA_INTERVAL, 3_600)),
    ),
    Scene(
        "RoutingFallsBack",
        (rising(FALLS_BACK % ("FIRST", "NOT_READ"), 1),),
        (always(FALLS_BACK % ("FIRST", "NOT_READ"), 7),),
    ),
    Scene(
        "RoutingFallsBack",
        (rising(FALLS_BACK % ("RETRY_TIME", "STALE"), 1),),
        (rising(FALLS_BACK % ("FAILOVER", "NOT_READ"), 1),),
    ),
    Scene("RoutingUndone", (once(UNDONE),), (always(UNDONE, 2),)),
    gauge("RoutingModelDamaged", "gateway_routing_model_damaged", 1),
    gauge("RoutingRegionsApart", "gateway_routing_region_success_gap", 0.21, 0.2),
    gauge("CorridorDegrading", 'gateway_foresight_alarm{corridor="default"}', 1),
    since("ForesightStands", FORESEEN, 11),
    Scene("ForesightUnreadable", (once(UNFORESEEN),), (always(UNFORESEEN, 3),)),
    gauge("DatabaseBehind", "gateway_database_behind", 1),
    gauge("HistoryUnchecked", "gateway_history_unchecked", 1),
    gauge("DatabaseUncompared", "gateway_database_uncompared_accounts", 1),
    Scene(
        "SealingRefused",
        ('ledger_seals_total{result="refused"} => 0x85 1x4',),
        ('ledger_seals_total{result="failed"} => 0x85 1x4',),
    ),
    gauge("SealingLate", "ledger_unsealed_transactions", 1),
    gauge("WebhooksLate", 'gateway_webhook_oldest_pending_seconds{corridor="c"}', 301, 300),
    gauge("WebhooksDead", 'gateway_webhook_open_dead_letters{corridor="c"}', 1),
    Scene(
        "WebhooksForged",
        (rising('gateway_webhooks_received_total{corridor="c",result="signature_mismatch"}', 10),),
        (rising('gateway_webhooks_received_total{corridor="c",result="stored"}', 10),),
    ),
    gauge("WebhooksInBroker", "gateway_webhook_buffer_waiting", 1_001, 1_000),
    Scene(
        "WebhooksUnreadable",
        (once('gateway_broker_relayed_total{result="unreadable"}'),),
        (once('gateway_broker_relayed_total{result="stored"}'),),
    ),
    gauge("DeliveriesDead", "gateway_outgoing_deliveries_dead", 1),
    gauge("EndpointDisabled", "gateway_outgoing_endpoints_given_up", 1),
    Scene(
        "PaymentsUnchecked",
        ('gateway_payments_unchecked_total{currency="EUR"} => 0x87 1x2',),
        (always('gateway_payments_unchecked_total{currency="EUR"}', 1),),
    ),
    gauge("CasesLate", 'compliance_cases_late{kind="PAYMENT",stage="unassigned"}', 1),
    gauge("SanctionsListBroken", 'compliance_list_alarm{list="l"}', 1),
    Scene(
        "SanctionsListOld",
        (always('compliance_list_confirm_time_seconds{list="l"}', -86_400),),
        (always('compliance_list_confirm_time_seconds{list="l"}', -80_000),),
    ),
    Scene(
        "PolicyRuleBroken",
        (rising("compliance_policy_rule_errors_total", 1),),
        (always("compliance_policy_rule_errors_total", 7),),
    ),
    gauge("FreezeExpected", 'compliance_freeze_alarms{kind="PAYOUTS"}', 1),
    gauge("FreezeNear", NEXT_FREEZE, MINUTES * 60 + 3 * 86_400 - 1, MINUTES * 60 + 3 * 86_400),
    # At any moment; and none at all.
    gauge("FreezeNear", NEXT_FREEZE, 1, 0),
    gauge("NoticesUndeliverable", "compliance_notice_mails_dead", 1),
    since("NoticesLate", OLDEST_MAIL, 61),
    # None waits.
    Scene("NoticesLate", (always(OLDEST_MAIL, 60),), (always(OLDEST_MAIL, 0),)),
    since("OutcomesLate", "compliance_outcomes_follow_timestamp_seconds", 61),
    # Compliance without a gateway.
    Scene(
        "OutcomesLate",
        (always("compliance_outcomes_follow_timestamp_seconds", 60),),
        (always("compliance_outcomes_follow_timestamp_seconds", 0),),
    ),
    Scene(
        "OutcomesUnreadable",
        (once('compliance_outcome_changes_total{result="unreadable"}'),),
        (
            always('compliance_outcome_changes_total{result="unreadable"}', 3),
            rising('compliance_outcome_changes_total{result="counted"}', 1),
        ),
    ),
    gauge("StatementsMissing", OPEN_BREAKS % ("FEED_STALE", "overdue"), 1),
    gauge("StatementsMissing", OPEN_BREAKS % ("STATEMENT_GAP", "overdue"), 1),
    Scene(
        "StatementsMissing",
        (always(OPEN_BREAKS % ("STATEMENT_GAP", "overdue"), 2),),
        (always(OPEN_BREAKS % ("STATEMENT_GAP", "due"), 2),),
    ),
    gauge(
        "StatementFileRefused",
        'reconciliation_statement_files_refused_since{bank_account="a"}',
        1,
    ),
    gauge("StatementStoreAway", STORE, 0, 1),
    Scene(
        "StatementStoreAway",
        (always(STORE, 0),),
        (f"{STORE} => 1x80 0x5 1x3",),
    ),
    since("DocumentsStuck", OLDEST_DOCUMENT, 61),
    # None waits; and what Stripe looks at is Stripe's.
    Scene("DocumentsStuck", (always(OLDEST_DOCUMENT, 60),), (always(OLDEST_DOCUMENT, 0),)),
    Scene(
        "DocumentsStuck",
        (always(OLDEST_DOCUMENT, 60),),
        (always(OLDEST_DOCUMENT.replace("CHECKED", "ATTACHED"), 60),),
    ),
    Scene(
        "DocumentInfected",
        (once("compliance_documents_infected_total"),),
        (always("compliance_documents_infected_total", 3),),
    ),
    gauge("VerificationsStuck", IDENTITY % "CREATING", 3_601, 3_600),
    gauge("VerificationsStuck", IDENTITY % "PROCESSING", 3_601, 3_600),
    # Who has shown nothing yet may take their time.
    Scene(
        "VerificationsStuck",
        (always(IDENTITY % "PROCESSING", 3_601),),
        (always(IDENTITY % "REQUIRES_INPUT", 1_000_000),),
    ),
    gauge("VerificationsUnfinished", IDENTITY % "FAILED_TRY", 259_201, 259_200),
    Scene(
        "VerificationsUnfinished",
        (always(IDENTITY % "FAILED_TRY", 259_201),),
        (always(IDENTITY % "REQUIRES_INPUT", 1_000_000),),
    ),
    gauge("VerificationLooksLate", "gateway_verification_looks_late_seconds", 3_601, 3_600),
    gauge("BreaksOverdue", BREAKS % ("UNEXPLAINED", "overdue"), 1),
    Scene(
        "BreaksOverdue",
        (always(BREAKS % ("AMBIGUOUS", "overdue"), 2), always(BREAKS % ("AMBIGUOUS", "due"), 0)),
        (always(BREAKS % ("AMBIGUOUS", "due"), 2), always(BREAKS % ("AMBIGUOUS", "overdue"), 0)),
    ),
    Scene(
        "AmountsDiffer",
        (always(BREAKS % ("AMOUNT_DIFFERS", "due"), 1),),
        (always(BREAKS % ("LEDGER_MISSING", "due"), 1), always(BREAKS % ("RETURNED", "due"), 0)),
    ),
    gauge("AmountsDiffer", BREAKS % ("CONTENT_SUM", "overdue"), 1),
    Scene(
        "BreaksOpenQuickly",
        (rising(BREAKS % ("LEDGER_MISSING", "due"), 17),),
        (rising(BREAKS % ("LEDGER_MISSING", "due"), 16),),
    ),
    # The end of a day in the year 1970, that long before the end of the scene.
    Scene(
        "PeriodNotClosed",
        (always(CLOSED, MINUTES * 60 - 345_601),),
        (always(CLOSED, MINUTES * 60 - 345_600),),
    ),
    Scene(
        "AdjustmentsFailed",
        (once('reconciliation_adjustments_total{state="FAILED"}'),),
        (rising('reconciliation_adjustments_total{state="COMPLETED"}', 1),),
    ),
    Scene(
        "BreakAlertsDead",
        (once('reconciliation_alerts_total{channel="MAIL",outcome="dead"}'),),
        (rising('reconciliation_alerts_total{channel="MAIL",outcome="refused"}', 1),),
    ),
    gauge("RedactionsLate", IDENTITY % "REDACTING", 432_001, 432_000),
)


def plays(alert: str) -> Iterator[dict[str, Any]]:
    """An alert's scenes as promtool reads them: how many of it fire at their ends."""
    for scene in SCENES:
        if scene.alert != alert:
            continue
        for series, firing in ((scene.fires, True), (scene.quiet, False)):
            pairs = [one.split(" => ") for one in series]
            yield {
                "name": f"{alert} {'fires' if firing else 'is quiet'}",
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in pairs],
                "promql_expr_test": [
                    {
                        "expr": f'(count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
                        " or vector(0)) > bool 0",
                        "eval_time": f"{MINUTES}m",
                        "exp_samples": [{"labels": "{}", "value": int(firing)}],
                    }
                ],
            }


def scripts(folder: Path) -> Iterator[Path]:
    """What promtool is to play, for each alert with its own rule only: all rules with all scenes
    would be evaluated three hundred thousand times."""
    for rule in alert_rules():
        alert = rule["alert"]
        rules, script = folder / f"{alert}.rules.yml", folder / f"{alert}.test.yml"
        rules.write_text(yaml.safe_dump({"groups": [{"name": alert, "rules": [rule]}]}))
        script.write_text(
            yaml.safe_dump(
                {
                    "rule_files": [str(rules)],
                    "evaluation_interval": "2m",
                    "tests": list(plays(alert)),
                }
            )
        )
        yield script


def test_each_alert_has_its_scenes() -> None:
    assert {scene.alert for scene in SCENES} == {rule["alert"] for rule in alert_rules()}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is of Debian's package prometheus")
def test_each_alert_fires_on_what_it_is_about_and_on_nothing_else(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    played = subprocess.run(
        [PROMTOOL, "test", "rules", *scripts(tmp_path)], capture_output=True, text=True, check=False
    )
    assert played.returncode == 0, played.stdout + played.stderr
