"""What has to be said of the mail server that notices leave by, and what production refuses."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from compliance.config import ComplianceSettings
from runtime.smtp import Security
from runtime.startup import StartupError

MAIL: dict[str, Any] = {
    "smtp_address": "mail.platform.example:587",
    "smtp_user": "notices",
    "smtp_password": "9f2c7be41d0a8356",
    "notice_sender": "notices@platform.example",
    "notice_operator_address": "compliance@platform.example",
    "notice_page_url": "https://platform.example/requirements",
}
PRODUCTION: dict[str, Any] = {
    "env": "production",
    "tls_certificate_file": "c",
    "tls_key_file": "k",
    "tls_ca_file": "a",
    "sdn_file": "sdn.csv",
}


def refusal(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ComplianceSettings(**settings)
    return str(caught.value)


def test_off_by_default() -> None:
    assert ComplianceSettings().smtp_address is None
    assert ComplianceSettings(smtp_address="").smtp_address is None


def test_a_whole_set_is_taken_in_production() -> None:
    settings = ComplianceSettings(**PRODUCTION, **MAIL)
    server = settings.mail_server()
    assert (server.host, server.port) == ("mail.platform.example", 587)
    assert (server.user, server.password) == ("notices", MAIL["smtp_password"])
    assert server.security is Security.STARTTLS
    assert MAIL["smtp_password"] not in "\n".join(settings.printable())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(
            ({name: None}, f"COMPLIANCE_{name.upper()}: is needed")
            for name in ("notice_sender", "notice_operator_address", "notice_page_url")
        ),
        ({"smtp_password": None}, "one needs the other"),
        ({"smtp_user": None}, "one needs the other"),
        ({"smtp_security": "none"}, "plain text is for loopback only"),
        ({"smtp_security": "ssl"}, "smtp_security"),
        ({"smtp_address": "mail"}, "is not host:port"),
        ({"notice_sender": "nobody"}, "is no e-mail address"),
        ({"notice_sender": "a@b.example\nBcc: c@d.example"}, "is no e-mail address"),
        ({"notice_operator_address": "a" * 244 + "@bb.example"}, "is no e-mail address"),
        ({"notice_page_url": "platform.example"}, "is not"),
    ],
)
def test_what_is_missing_or_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**{**MAIL, **changes})


def test_the_longest_address_is_taken() -> None:
    longest = "a" * 242 + "@bb.example"
    assert len(longest) == 253
    longest = "a" + longest
    assert ComplianceSettings(**{**MAIL, "notice_operator_address": longest})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"smtp_password": "hunter2"}, "COMPLIANCE_SMTP_PASSWORD: has fewer than 16"),
        ({"notice_page_url": "http://127.0.0.1/here"}, "COMPLIANCE_NOTICE_PAGE_URL: merchants"),
        (
            {"smtp_address": "0.0.0.0:25", "smtp_security": "none"},
            "COMPLIANCE_SMTP_SECURITY: plain text",
        ),
    ],
)
def test_what_production_refuses(changes: dict[str, Any], said: str) -> None:
    text = refusal(**{**PRODUCTION, **MAIL, **changes})
    assert said in text
    assert "hunter2" not in text


def test_plain_text_on_this_machine_is_for_a_relay() -> None:
    relay = {"smtp_address": "127.0.0.1:25", "smtp_security": "none"}
    assert ComplianceSettings(**{**PRODUCTION, **MAIL, **relay})


def test_an_authority_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    settings = ComplianceSettings(**MAIL, smtp_ca_file=tmp_path / "missing.pem")
    with pytest.raises(StartupError, match="COMPLIANCE_SMTP_CA_FILE"):
        settings.mail_server()
