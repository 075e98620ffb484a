"""From the evidence that a client sends to Stripe's parameters. Pure."""

from collections.abc import Mapping
from typing import Any

# Stripe nests it in an object of its own: https://docs.stripe.com/api/disputes/update
APPEAL_FIELD = "appeal_reason_for_filing"


def evidence_params(evidence: Mapping[str, str]) -> dict[str, Any]:
    """For `POST /v1/disputes/{id}`, submitted at once."""
    given: dict[str, Any] = {
        field: text for field, text in evidence.items() if field != APPEAL_FIELD
    }
    if APPEAL_FIELD in evidence:
        given["appeal"] = {"card": {"reason_for_filing": evidence[APPEAL_FIELD]}}
    return {"evidence": given, "submit": True}
