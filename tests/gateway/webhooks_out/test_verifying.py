"""Node's own crypto verifies what we sign."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.webhooks_out.domain import new_secret, signed_headers

SCRIPT = Path(__file__).parents[2] / "node" / "verify_webhook.mjs"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRET = new_secret()
BODY = '{"type":"payment.captured","note":"ünïcödé"}'


def node_says(secret: str, body: str, *, late: timedelta = timedelta(0)) -> str:
    node = shutil.which("node")
    assert node is not None, "Node is part of the tests' environment"
    headers = signed_headers("evt_7", NOW, BODY.encode(), [new_secret(), SECRET])
    given = {
        "secret": secret,
        "headers": dict(headers),
        "body": body,
        "now": (NOW + late).timestamp(),
    }
    done = subprocess.run(
        [node, SCRIPT], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("secret", "body", "late", "verified"),
    [
        (SECRET, BODY, timedelta(0), "true"),
        (SECRET, BODY + " ", timedelta(0), "false"),
        (new_secret(), BODY, timedelta(0), "false"),
        (SECRET, BODY, timedelta(minutes=6), "false"),
    ],
    ids=["ours", "changed", "forged", "old"],
)
def test_node_verifies(secret: str, body: str, late: timedelta, verified: str) -> None:
    assert node_says(secret, body, late=late) == verified
