"""Every field and code of the pinned Stripe SDK has words and a fix; what is unknown says so."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.accounts.guidance import CODES, FIELDS, Guide, guide
from compliance.accounts.messages import requirement_message, snapshot_message
from compliance.accounts.requirements import CURRENTLY_DUE, Requirement
from compliance.accounts.snapshot import AccountContent, AccountSnapshot, Capability
from compliance.data_lines import DataError, data_lines
from tests.compliance.conftest import START

SPEC = importlib.util.find_spec("stripe")
assert SPEC is not None
assert SPEC.origin is not None
SDK = Path(SPEC.origin).parent
OBJECTS = ("_account.py", "_bank_account.py", "_capability.py", "_person.py", "v2/core/_account.py")
# What is set by the platform and never asked of a merchant.
NO_REQUIREMENT = frozenset(
    {"account_token", "capabilities", "controller", "expand", "groups", "metadata", "person_token"}
)
SUSPICION = re.compile(
    r"fraud|suspect|suspicio|sanction|forge|alter|manipulat|\blist", re.IGNORECASE
)


def words_of_the_sdk(attribute: str) -> set[str]:
    """The literals of an attribute in every class of requirements, `Error.code` for example."""
    owner, _, name = attribute.rpartition(".")
    found: set[str] = set()

    def walk(node: ast.AST, chain: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                walk(child, (*chain, child.name))
            elif (
                isinstance(child, ast.AnnAssign)
                and ast.unparse(child.target) == name
                and re.fullmatch(owner, chain[-1] if chain else "")
            ):
                found.update(literals(child.annotation))

    for path in OBJECTS:
        walk(ast.parse((SDK / path).read_text(encoding="utf-8")), ())
    return found


def literals(annotation: ast.AST) -> Iterator[str]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def fields_of_the_sdk(path: str, top: str) -> set[str]:
    """The dotted paths of all that a request can hand in."""
    body = ast.parse((SDK / "params" / path).read_text(encoding="utf-8")).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    dicts = {
        node.targets[0].id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
    }

    def members(name: str) -> Iterator[tuple[str, ast.AST]]:
        if name in dicts:
            given = dicts[name].args[1]
            assert isinstance(given, ast.Dict)
            for key, value in zip(given.keys, given.values, strict=True):
                assert isinstance(key, ast.Constant)
                yield str(key.value), value
            return
        for base in classes[name].bases:
            if isinstance(base, ast.Name) and base.id in {*classes, *dicts}:
                yield from members(base.id)
        for node in classes[name].body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id, node.annotation

    def walk(name: str, prefix: str) -> Iterator[str]:
        for member, annotation in members(name):
            said = " ".join(literals(annotation)) + " " + ast.unparse(annotation)
            below = [one for one in {*classes, *dicts} if re.search(rf"\b{one}\b", said)]
            if not below:
                yield prefix + member
            for one in below:
                yield from walk(one, f"{prefix}{member}.")

    return set(walk(top, ""))


def is_asked_for(field: str) -> bool:
    return not NO_REQUIREMENT & set(field.split("."))


def test_every_code_of_the_sdk_has_an_entry_and_no_other() -> None:
    codes = words_of_the_sdk("Error|RequestedReason.code")
    reasons = words_of_the_sdk("Requirements|FutureRequirements.disabled_reason")
    assert len(codes) >= 100
    assert len(reasons) >= 20
    assert {code for code in codes if not guide().error(code).is_known} == set()
    assert {reason for reason in reasons if not guide().disabled(reason).is_known} == set()
    columns = ("kind", "code", "words", "fix", "read on", "source")
    ours = {(kind, code) for _, (kind, code, *_) in data_lines(CODES, columns)}
    theirs = {("error", code) for code in codes} | {("disabled", reason) for reason in reasons}
    assert ours == theirs


def test_every_field_that_the_sdk_can_hand_in_has_an_entry() -> None:
    account = fields_of_the_sdk("_account_create_params.py", "AccountCreateParams")
    person = fields_of_the_sdk("_account_create_person_params.py", "AccountCreatePersonParams")
    assert len(account) >= 250
    assert len(person) >= 60
    fields = {field for field in account if is_asked_for(field)}
    for who in ("person_1Nv0FGQ9", "representative", "owners", "directors", "executives"):
        fields |= {f"{who}.{field}" for field in person if is_asked_for(field)}
    assert {field for field in fields if not guide().field(field).is_known} == set()


def test_every_entry_of_a_field_is_met() -> None:
    """None is there for nothing: each is what some field's guidance is."""
    account = fields_of_the_sdk("_account_create_params.py", "AccountCreateParams")
    person = fields_of_the_sdk("_account_create_person_params.py", "AccountCreatePersonParams")
    fields = account | {f"owners.{field}" for field in person}
    # What Stripe asks for that no parameter of the account has.
    fields |= {"owners", "company", "interv_1.form", "owners.verification.proof_of_liveness"}
    # What compliance itself says of a person whom Stripe verifies without saying what for.
    fields.add("person_1.verification")
    met = {guide().field(field).fix for field in fields}
    columns = ("field", "words", "fix", "read on", "source")
    assert {fix for _, (_, _, fix, *_) in data_lines(FIELDS, columns)} <= met


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("individual.dob.day", "The merchant's date of birth."),
        ("person_1Nv0FGQ9.dob.year", "The person's date of birth."),
        ("owners.full_name_aliases", "Other names that the owner has had."),
        ("representative.verification.document", "The representative's identity document."),
        ("directors", "Somebody who has to be named."),
        ("company.verification.document", "A document that shows the company's legal name."),
        ("interv_1Abc.other_supportability_inquiry.form", "A question of Stripe's risk review."),
        ("external_account", "The bank account that payouts go to."),
    ],
)
def test_words_are_about_whom_the_field_is_about(field: str, words: str) -> None:
    assert guide().field(field).words == words


@pytest.mark.parametrize(
    "field", ["", "new_thing", "company.new_thing", "owners.new_thing", "person_", "a" * 500, "."]
)
def test_an_unknown_field_says_so(field: str) -> None:
    found = guide().field(field)
    if field == "person_":
        assert found.words == "Somebody who has to be named."
        return
    assert not found.is_known
    assert f'"{field}"' in found.words
    assert found.fix == "Open Stripe's page, which says what to hand in."


def test_unknown_codes_say_so() -> None:
    for found in (guide().error("brand_new"), guide().disabled("brand_new")):
        assert not found.is_known
        assert '"brand_new"' in found.words
    # A code of one kind is none of the other.
    assert not guide().error("under_review").is_known
    assert not guide().disabled("invalid_tax_id").is_known


def test_no_words_tell_of_a_suspicion() -> None:
    columns = ("kind", "code", "words", "fix", "read on", "source")
    told = {f"{words} {fix}" for _, (_, _, words, fix, *_) in data_lines(CODES, columns)}
    assert {text for text in told if SUSPICION.search(text)} <= {
        text for text in told if "the kinds that Stripe lists" in text
    }


def test_a_merchants_requirements_and_snapshot_say_it() -> None:
    wanted = Requirement(
        "company.tax_id",
        CURRENTLY_DUE,
        None,
        (),
        ("invalid_tax_id", "brand_new"),
        False,
        (),
        hosted_only=False,
    )
    message = requirement_message(wanted)
    assert message.guidance.words == "The company's tax number."
    assert [one.known for one in message.error_guidance] == [True, False]
    content = AccountContent(
        charges_enabled=False,
        payouts_enabled=True,
        details_submitted=True,
        disabled_reason="requirements.past_due",
        country_code="DE",
        external_account_errored=False,
        capabilities=(
            Capability("card_payments", "INACTIVE", True, "requirements.fields_needed"),
            Capability("transfers", "ACTIVE", True, ""),
        ),
        requirements=(wanted,),
        tax_settings_state="ACTIVE",
        tax_missing_fields=(),
        tax_ids=(),
    )
    shown = snapshot_message("sub", AccountSnapshot("acct_1", "main", "mrc_1", content, START))
    assert shown.disabled_guidance.fix == "Hand in what the requirements name as past due."
    inactive, active = shown.capabilities
    assert inactive.disabled_guidance.known
    assert not active.HasField("disabled_guidance")


GOOD_CODE = "error\tinvalid_tax_id\tIt is wrong.\tCopy it.\t2026-11-29\thttps://a.b/c"
GOOD_FIELD = "@person.dob\t{who} birth.\tGive it.\t2026-11-29\thttps://a.b/c"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (GOOD_CODE, "is there twice"),
        (GOOD_CODE.replace("error", "warning"), "'warning' is no kind"),
        (GOOD_CODE.replace("invalid_tax_id", ""), "a name, words or a fix are missing"),
        (GOOD_CODE.replace("invalid_tax_id", "a").replace("wrong.", "wrong"), "no sentence"),
        (GOOD_CODE.replace("invalid_tax_id", "a").replace("https", "http"), "https address"),
        (GOOD_CODE.replace("\t2026-11-29", ""), "has 5 columns, not 6"),
    ],
)
def test_a_code_that_cannot_be_used_is_refused_by_its_line(
    tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "codes.tsv"
    path.write_text(f"{GOOD_CODE}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"codes\.tsv line 2: ") as caught:
        Guide(codes=path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (GOOD_FIELD, "is there twice"),
        (GOOD_FIELD.replace("dob", "a").replace("{who}", "{whom}"), "names somebody else"),
        (GOOD_FIELD.replace("dob", "a").replace("{who}", "{who"), "names somebody else"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused_by_its_line(
    tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "fields.tsv"
    path.write_text(f"{GOOD_FIELD}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"fields\.tsv line 2: ") as caught:
        Guide(fields=path)
    assert said in str(caught.value)
