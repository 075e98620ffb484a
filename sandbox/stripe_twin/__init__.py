"""A Stripe on this machine: stateful, over HTTP, for the real SDK. See docs/stripe-twin.md."""

from sandbox.stripe_twin.accounts import (
    ACCOUNTS,
    ALL_ACCOUNTS,
    BACKUP_ACCOUNT,
    DEFAULT_ACCOUNT,
    EUROPE_ACCOUNT,
    JAPAN_ACCOUNT,
)
from sandbox.stripe_twin.faults import Fault, FaultKind, WebhookFault, WebhookFaultKind
from sandbox.stripe_twin.settings import TwinSettings
from sandbox.stripe_twin.twin import DEFAULT_PORT, Twin, running_twin

__all__ = [
    "ACCOUNTS",
    "ALL_ACCOUNTS",
    "BACKUP_ACCOUNT",
    "DEFAULT_ACCOUNT",
    "DEFAULT_PORT",
    "EUROPE_ACCOUNT",
    "JAPAN_ACCOUNT",
    "Fault",
    "FaultKind",
    "Twin",
    "TwinSettings",
    "WebhookFault",
    "WebhookFaultKind",
    "running_twin",
]
