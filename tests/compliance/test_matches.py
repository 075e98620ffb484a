"""Matches: found, cleared, confirmed, and when they come back."""

import asyncio

import grpc
import psycopg
import pytest

from compliance.screening import rescreening
from compliance.screening.match_store import state_after
from compliance.v1 import screening_pb2, screening_service_pb2, subject_pb2, subject_service_pb2
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict
from tests.compliance.test_list_loading import append, sdn_row

# Each round is a call; the replica looks 20 times a second.
MAX_ROUNDS = 500
LISTED = "Synthetic Blocked Trading Company"
OPEN = screening_pb2.MATCH_STATE_OPEN
CLEARED = screening_pb2.MATCH_STATE_CLEARED
CONFIRMED = screening_pb2.MATCH_STATE_CONFIRMED
OBSOLETE = screening_pb2.MATCH_STATE_OBSOLETE


async def clear(guard: Guard, match_id: str, request_id: str = "") -> screening_pb2.Match:
    answer = await guard.screening.ClearMatch(
        screening_service_pb2.ClearMatchRequest(
            request_id=request_id or unique("clear"), match_id=match_id, note="other seat"
        )
    )
    match: screening_pb2.Match = answer.match
    return match


async def confirm(guard: Guard, match_id: str) -> screening_pb2.Match:
    answer = await guard.screening.ConfirmMatch(
        screening_service_pb2.ConfirmMatchRequest(
            request_id=unique("confirm"), match_id=match_id, note="same seat"
        )
    )
    match: screening_pb2.Match = answer.match
    return match


async def rename(guard: Guard, subject_id: str, name: str) -> None:
    subject = await guard.subjects.GetSubject(
        subject_service_pb2.GetSubjectRequest(subject_id=subject_id)
    )
    profile = subject.subject.profile
    profile.legal_name = name
    await guard.subjects.UpdateSubject(
        subject_service_pb2.UpdateSubjectRequest(
            request_id=unique("rename"),
            subject_id=subject_id,
            profile=profile,
            account=subject.subject.account if subject.subject.HasField("account") else None,
        )
    )


async def test_a_match_is_explained(guard: Guard) -> None:
    merchant = await guard.merchant("Synthetic Blocked Trading GmbH", country="PA")
    (match,) = await guard.matches(merchant)
    assert (match.state, match.entry_id, match.list_version) == (OPEN, "900002", 1)
    assert list(match.programs) == ["SYNTHETIC-DEMO", "SYNTHETIC-TWO"]
    assert match.score == 1.0
    explained = match.explanation
    assert explained.list_name == "SYNTHETIC BLOCKED TRADING COMPANY LLC"
    assert [part.list_part for part in explained.parts] == ["synthetic", "blocked", "trading"]
    assert explained.country_effect == 0.02
    got = await guard.screening.GetMatch(screening_service_pb2.GetMatchRequest(match_id=match.id))
    assert got.match == match


async def test_owners_and_customers_are_matched_too(guard: Guard) -> None:
    merchant = await guard.merchant()
    person = subject_pb2.ENTITY_KIND_INDIVIDUAL
    owner = await guard.subject(
        subject_pb2.SUBJECT_KIND_OWNER, "Blocked Zztest", parent=merchant, entity_kind=person
    )
    customer = await guard.customer("Остап Квортенгальмен")
    decision = await guard.check(merchant, customer_id=customer)
    assert codes(decision) == ["OWNER_MATCH_OPEN", "CUSTOMER_MATCH_OPEN"]
    (match,) = await guard.matches(owner)
    await confirm(guard, match.id)
    decision = await guard.check(merchant, customer_id=customer)
    assert verdict(decision) == "DENY"
    assert codes(decision) == ["OWNER_SANCTIONED", "CUSTOMER_MATCH_OPEN"]


async def test_clearing_sticks_through_list_updates_that_do_not_touch_the_entry(
    guard: Guard,
) -> None:
    merchant = await guard.merchant(LISTED)
    (match,) = await guard.matches(merchant)
    assert (await clear(guard, match.id)).state == CLEARED
    assert codes(await guard.check(merchant)) == []
    append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "NEW, Entry"))
    await guard.load_list()
    assert codes(await guard.check(merchant)) == []


@pytest.mark.parametrize("renamed", [False, True])
async def test_an_entry_with_a_new_id_keeps_its_clearance_if_nothing_else_is_new(
    guard: Guard, renamed: bool
) -> None:
    merchant = await guard.merchant(LISTED)
    (match,) = await guard.matches(merchant)
    await clear(guard, match.id)
    for name in ("sdn.csv", "alt.csv", "add.csv"):
        path = guard.sdn_folder / name
        path.write_bytes(path.read_bytes().replace(b"900002,", b"900102,"))
    if renamed:
        append(guard.sdn_folder, "alt.csv", '900102,800099,"aka","ANOTHER ALIAS",-0- ')
    await guard.load_list()
    found = {match.entry_id: match for match in await guard.matches(merchant)}
    assert found["900002"].state == OBSOLETE
    assert found["900102"].state == (OPEN if renamed else CLEARED)
    assert found["900102"].decision_note == ("" if renamed else "other seat")
    assert codes(await guard.check(merchant)) == (["MERCHANT_MATCH_OPEN"] if renamed else [])


async def test_a_changed_entry_opens_the_match_again(guard: Guard) -> None:
    merchant = await guard.merchant(LISTED)
    (match,) = await guard.matches(merchant)
    await clear(guard, match.id)
    append(guard.sdn_folder, "alt.csv", '900002,800099,"aka","ANOTHER ALIAS",-0- ')
    await guard.load_list()
    (again,) = await guard.matches(merchant)
    assert (again.id, again.state, again.list_version) == (match.id, OPEN, 2)
    assert again.decision_note == ""
    assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]


async def test_a_changed_profile_opens_the_match_again(guard: Guard) -> None:
    merchant = await guard.merchant(LISTED)
    (match,) = await guard.matches(merchant)
    await clear(guard, match.id)
    # What is not in the profile does not matter.
    await guard.set_kyc(merchant, subject_pb2.KYC_STATE_VERIFIED)
    assert codes(await guard.check(merchant)) == []
    await rename(guard, merchant, f"{LISTED} Ltd")
    assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]


async def test_another_name_makes_a_match_obsolete_and_the_old_one_brings_it_back(
    guard: Guard,
) -> None:
    merchant = await guard.merchant(LISTED)
    await rename(guard, merchant, "Wohlbekannt Handel GmbH")
    (match,) = await guard.matches(merchant)
    assert match.state == OBSOLETE
    assert codes(await guard.check(merchant)) == []
    await rename(guard, merchant, LISTED)
    assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]


async def test_another_name_gets_nobody_out_of_a_confirmed_match(guard: Guard) -> None:
    merchant = await guard.merchant(LISTED)
    (match,) = await guard.matches(merchant)
    await confirm(guard, match.id)
    await rename(guard, merchant, "Wohlbekannt Handel GmbH")
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("DENY", ["MERCHANT_SANCTIONED"])
    # People err: a person can take it back.
    assert (await clear(guard, match.id)).state == CLEARED
    assert codes(await guard.check(merchant)) == []


@pytest.mark.parametrize("state", [None, "OPEN", "CLEARED", "CONFIRMED", "OBSOLETE"])
@pytest.mark.parametrize("same_subject", [True, False])
@pytest.mark.parametrize("same_entry", [True, False])
@pytest.mark.parametrize("hit", [True, False])
def test_every_step_of_a_match(
    state: str | None, same_subject: bool, same_entry: bool, hit: bool
) -> None:
    after = state_after(state, same_subject=same_subject, same_entry=same_entry, hit=hit)
    if state == "CONFIRMED":
        assert after == "CONFIRMED"
    elif not hit:
        assert after == (None if state is None else "OBSOLETE")
    elif state == "CLEARED" and same_subject and same_entry:
        assert after == "CLEARED"
    else:
        assert after == "OPEN"


async def test_deciding_twice(guard: Guard) -> None:
    merchant = await guard.merchant(LISTED)
    (match,) = await guard.matches(merchant)
    first = await clear(guard, match.id, "clear-once")
    assert await clear(guard, match.id, "clear-once") == first
    error = await failure(clear(guard, match.id))
    assert (error.code, error.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "MATCH_NOT_DECIDABLE",
    )
    assert error.metadata == {"match_id": match.id, "state": "CLEARED"}
    error = await failure(clear(guard, "mat_nowhere"))
    assert (error.reason, error.metadata["match_id"]) == ("MATCH_NOT_FOUND", "mat_nowhere")


async def test_matches_are_listed_page_by_page(guard: Guard) -> None:
    expected = [await guard.merchant(LISTED) for _ in range(3)]
    seen: list[str] = []
    token = ""
    for _ in range(2):
        page = await guard.screening.ListMatches(
            screening_service_pb2.ListMatchesRequest(state=OPEN, page_size=2, page_token=token)
        )
        seen += [match.subject_id for match in page.matches]
        token = page.next_page_token
    assert (seen, token) == (expected[::-1], "")


async def test_a_name_can_be_screened_without_a_subject(guard: Guard) -> None:
    answer = await guard.screening.ScreenName(
        screening_service_pb2.ScreenNameRequest(
            screened_name=screening_pb2.ScreenedName(
                name="Ostap Kvortenhalmen",
                entity_kind=subject_pb2.ENTITY_KIND_INDIVIDUAL,
                birth_date="1971-03-05",
                country_code="RU",
            )
        )
    )
    (match,) = answer.matches
    assert (match.entry_id, match.id, match.subject_id) == ("900003", "", "")
    assert (match.score, match.explanation.birth_date_effect) == (1.0, 0.05)


async def test_subjects_created_while_a_list_loads_are_not_missed(guard: Guard) -> None:
    append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "GELISTET, Gerade"))
    person = subject_pb2.ENTITY_KIND_INDIVIDUAL
    loading = asyncio.create_task(guard.load_list())
    merchants = await asyncio.gather(
        *(guard.merchant("Gerade Gelistet", entity_kind=person) for _ in range(20))
    )
    await loading
    for merchant in merchants:
        assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_every_page_of_subjects_is_screened_against_what_is_new(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """Two pages of subjects, one fewer and one more: the last is stored, too."""
    person = subject_pb2.ENTITY_KIND_INDIVIDUAL
    size = 3
    monkeypatch.setattr(rescreening, "DELTA_PAGE_SIZE", size)
    merchants = await asyncio.gather(
        *(guard.merchant("Gerade Gelistet", entity_kind=person) for _ in range(2 * size + more))
    )
    assert codes(await guard.check(merchants[0])) == []
    append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "GELISTET, Gerade"))
    await guard.load_list()
    for merchant in merchants:
        assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]


async def test_a_replica_behind_is_caught_up_with(open_guard: OpenGuard) -> None:
    """One replica loads a list; another, which still has the old one, creates a listed subject."""
    person = subject_pb2.ENTITY_KIND_INDIVIDUAL
    async with open_guard() as first, open_guard(screening_interval_seconds=0.05) as second:
        append(first.sdn_folder, "sdn.csv", sdn_row(900_100, "GELISTET, Gerade"))
        await first.load_list()
        merchant = await first.merchant("Gerade Gelistet", entity_kind=person)
        assert codes(await first.check(merchant)) == ["MERCHANT_MATCH_OPEN"]
        behind = await second.merchant("Gerade Gelistet", entity_kind=person, account=None)
        for _ in range(MAX_ROUNDS):
            found = codes(await first.check(behind))
            # Until the other replica has caught up the subject waits: it never passes.
            assert found in (["SCREENING_PENDING"], ["MERCHANT_MATCH_OPEN"])
            if found == ["MERCHANT_MATCH_OPEN"]:
                return
        raise AssertionError("the replica never caught up")


async def test_a_name_that_cannot_be_compared_waits_for_another(guard: Guard) -> None:
    merchant = await guard.merchant("\u200b!!!")
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["NAME_NOT_COMPARABLE"])
    answer = await guard.screening.ScreenName(
        screening_service_pb2.ScreenNameRequest(
            screened_name=screening_pb2.ScreenedName(name="\u200b!!!")
        )
    )
    assert (answer.not_comparable, list(answer.matches)) == (True, [])
    await rename(guard, merchant, "Wohlbekannt Handel GmbH")
    assert codes(await guard.check(merchant)) == []


async def test_who_was_screened_by_older_rules_is_screened_again(open_guard: OpenGuard) -> None:
    async with open_guard() as guard:
        merchant = await guard.merchant("!!!")
        with psycopg.connect(guard.database_url) as connection:
            connection.execute("UPDATE screening SET rules_version = 1, is_comparable = true")
        assert codes(await guard.check(merchant)) == []
    async with open_guard(screening_interval_seconds=0.05) as guard:
        for _ in range(MAX_ROUNDS):
            if codes(await guard.check(merchant)) == ["NAME_NOT_COMPARABLE"]:
                return
        raise AssertionError("the older screening still counts")


async def test_who_did_not_say_what_it_is_is_screened_as_both(guard: Guard) -> None:
    """Titles count for nothing in a person's name, legal forms in a company's."""
    unsaid = subject_pb2.ENTITY_KIND_UNSPECIFIED
    for name in (
        "Sheikh Dr Ostap Kvortenhalmen",
        "Zztest Blocked",
        "Bravolinskiy Zavod GmbH & Co. KG",
    ):
        merchant = await guard.merchant(name, entity_kind=unsaid)
        assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"], name
        answer = await guard.screening.ScreenName(
            screening_service_pb2.ScreenNameRequest(
                screened_name=screening_pb2.ScreenedName(name=name)
            )
        )
        assert len(answer.matches) == 1
