"""Signed notes and keys: the published example, our own, and everything that is almost one."""

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from ledger import keys
from ledger.config import LedgerSettings
from ledger.notes import Checkpoint, open_note
from runtime.signed_notes import NoteError, SignerKey, VerifierKey
from runtime.signing_keys import kept_key, write_key

# The key pair and the note of the documentation of Go's golang.org/x/mod/sumdb/note.
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    b"If you think cryptography is the answer to your problem,\n"
    b"then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)

SIGNER = SignerKey("ledger.test", bytes(range(32)))
CHECKPOINT = Checkpoint("ledger/main", 123, bytes(range(32)), 7, bytes(range(32, 64)))
NOTE = SIGNER.sign(CHECKPOINT).encode()


def test_the_published_keys_are_read() -> None:
    signer = SignerKey.parse(GO_SIGNER)
    assert str(signer.verifier) == GO_VERIFIER
    assert VerifierKey.parse(GO_VERIFIER) == signer.verifier
    assert signer.secret_text() == GO_SIGNER


def test_the_published_signature_is_ours() -> None:
    signer = SignerKey.parse(GO_SIGNER)
    assert base64.b64encode(signer.signature_of(GO_TEXT)).decode() == GO_SIGNATURE


def test_a_note_has_the_documented_form() -> None:
    lines = NOTE.decode().split("\n")
    assert lines[:5] == [
        "ledger/main",
        "123",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "accounts 7 ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=",
        "",
    ]
    assert lines[5].startswith("— ledger.test ")
    assert open_note(NOTE, SIGNER.verifier) == CHECKPOINT
    assert CHECKPOINT.ledger == "main"


def test_every_flipped_bit_is_found() -> None:
    for place in range(len(NOTE)):
        for bit in range(8):
            changed = bytearray(NOTE)
            changed[place] ^= 1 << bit
            with pytest.raises(NoteError):
                open_note(bytes(changed), SIGNER.verifier)


def test_every_cut_and_every_inserted_byte_is_found() -> None:
    for place in range(len(NOTE)):
        for changed in (NOTE[:place], NOTE[:place] + b"\n" + NOTE[place:], NOTE + NOTE[place:]):
            with pytest.raises(NoteError):
                open_note(changed, SIGNER.verifier)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ledger/Main\n1\n{root}\naccounts 0 {root}\n", "line 1"),
        ("ledger/main\n0\n{root}\naccounts 0 {root}\n", "line 2"),
        ("ledger/main\n01\n{root}\naccounts 0 {root}\n", "line 2"),
        ("ledger/main\n1\nAAAA\naccounts 0 {root}\n", "line 3"),
        ("ledger/main\n1\n{root}\naccounts -1 {root}\n", "line 4"),
        ("ledger/main\n1\n{root}\naccounts  1 {root}\n", "line 4"),
        ("ledger/main\n1\n{root}\naccounts 1 {root}\nmore\n", "is not four lines"),
        ("ledger/main\n1\n{root}\n", "is not four lines"),
    ],
)
def test_what_is_signed_well_may_still_be_no_checkpoint(text: str, problem: str) -> None:
    text = text.format(root=base64.b64encode(bytes(32)).decode())
    signature = base64.b64encode(SIGNER.signature_of(text.encode())).decode()
    note = f"{text}\n— ledger.test {signature}\n"
    with pytest.raises(NoteError, match=problem):
        open_note(note.encode(), SIGNER.verifier)


def test_another_key_of_the_same_name_is_another_key() -> None:
    impostor = SignerKey("ledger.test", bytes(32))
    with pytest.raises(NoteError, match=r"signed by ledger\.test\+[0-9a-f]{8}, not by"):
        open_note(impostor.sign(CHECKPOINT).encode(), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ledger.test",
        GO_VERIFIER.replace("c74f20a3", "c74f20a4"),
        GO_VERIFIER.replace("+AR", "+AB"),
        GO_VERIFIER.replace("PeterNeumann", "Peter Neumann"),
        GO_VERIFIER[:-4],
        GO_VERIFIER.upper(),
    ],
)
def test_a_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@given(st.binary(min_size=32, max_size=32), st.from_regex(r"[a-z.\-/]{1,40}", fullmatch=True))
def test_keys_survive_being_written(seed: bytes, name: str) -> None:
    key = SignerKey(name, seed)
    assert SignerKey.parse(key.secret_text()).verifier == key.verifier
    assert VerifierKey.parse(str(key.verifier)) == key.verifier


def test_settings_take_a_signer_key_and_never_show_it() -> None:
    text = SIGNER.secret_text()
    settings = LedgerSettings(signing_key=SecretStr(text))
    assert keys.SIGNING.key(settings).verifier == SIGNER.verifier
    assert text.rpartition("+")[2] not in "\n".join(settings.printable())
    with pytest.raises(ValidationError) as caught:
        LedgerSettings(signing_key=SecretStr(text[:-8]))
    assert text.rpartition("+")[2][:20] not in str(caught.value)


def test_outside_the_sandbox_a_key_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for file in ("certificate", "key", "ca"):
        monkeypatch.setenv(f"LEDGER_TLS_{file.upper()}_FILE", str(tmp_path / file))
    monkeypatch.setenv("ENV", "staging")
    with pytest.raises(ValidationError, match="needs LEDGER_SIGNING_KEY"):
        LedgerSettings()
    (tmp_path / "signing.key").write_text(f"{SIGNER.secret_text()}\n")
    monkeypatch.setenv("LEDGER_SIGNING_KEY_FILE", str(tmp_path / "signing.key"))
    assert keys.SIGNING.key(LedgerSettings()).verifier == SIGNER.verifier


def test_the_sandbox_makes_its_key_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMBEDDED_POSTGRES_DIRECTORY", str(tmp_path / "payment-engine-x" / "y"))
    first = keys.SIGNING.key(LedgerSettings())
    assert keys.SIGNING.key(LedgerSettings()).verifier == first.verifier
    (file,) = (tmp_path / "payment-engine-x" / "y").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_of_two_that_make_a_key_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    first, second = SignerKey.generate("a"), SignerKey.generate("b")
    assert write_key(path, first)
    assert not write_key(path, second)
    assert kept_key(path, "c").verifier == first.verifier
    assert [file.name for file in tmp_path.iterdir()] == ["signing.key"]


def test_the_command_makes_a_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["ledger.example.com"]) == 0
    secret, verifier = capsys.readouterr().out.splitlines()
    assert str(SignerKey.parse(secret).verifier) == verifier
    out = tmp_path / "signing.key"
    assert keys.main(["ledger.example.com", "--out", str(out)]) == 0
    (verifier,) = capsys.readouterr().out.splitlines()
    assert str(SignerKey.parse(out.read_text().strip()).verifier) == verifier
    assert keys.main(["ledger.example.com", "--out", str(out)]) == 2
    assert keys.main(["two words"]) == 2
    capsys.readouterr()
    nowhere = tmp_path / "nowhere" / "signing.key"
    assert keys.main(["ledger.example.com", "--out", str(nowhere)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"ledger.keys: {nowhere}: No such file or directory\n"


def test_a_key_is_shown_and_never_made_by_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "payment-engine-x" / "y"
    monkeypatch.setenv("EMBEDDED_POSTGRES_DIRECTORY", str(directory))
    assert keys.main(["--show"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ledger.keys: no key yet: LEDGER_SIGNING_KEY is not set")
    assert str(directory / "ledger-signing.key") in said.err
    assert list(tmp_path.iterdir()) == []

    made = keys.SIGNING.key(LedgerSettings())
    assert keys.main(["--show"]) == 0
    assert capsys.readouterr().out == f"{made.verifier}\n"
    assert made.secret_text() not in said.err

    monkeypatch.setenv("LEDGER_SIGNING_KEY", SIGNER.secret_text())
    assert keys.main(["--show"]) == 0
    assert capsys.readouterr().out == f"{SIGNER.verifier}\n"


@pytest.mark.parametrize("content", ["", "no key"])
def test_a_file_without_a_key_is_neither_shown_nor_replaced(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    monkeypatch.setenv("EMBEDDED_POSTGRES_DIRECTORY", str(tmp_path))
    file = tmp_path / "ledger-signing.key"
    file.write_text(content)
    assert keys.main(["--show"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"ledger.keys: {file}: a signer key starts with PRIVATE+KEY+\n"
    assert file.read_text() == content


def test_a_shown_key_goes_to_no_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        keys.main(["--show", "--out", str(tmp_path / "signing.key")])
    assert list(tmp_path.iterdir()) == []
