"""Lists and matches in the form of the contract."""

from compliance.screening.active_lists import ActiveList
from compliance.screening.index import Hit
from compliance.screening.list_store import ListVersion
from compliance.screening.match_store import Match
from compliance.screening.scoring import Explanation
from compliance.screening.sources import LISTS
from compliance.v1 import screening_pb2 as pb
from compliance.wire_time import to_timestamp

_LIST_PREFIX = "SANCTIONS_LIST_"
_VERSION_PREFIX = "SANCTIONS_LIST_VERSION_STATE_"
_MATCH_PREFIX = "MATCH_STATE_"


def list_word(value: "pb.SanctionsList.ValueType") -> str:
    return pb.SanctionsList.Name(value).removeprefix(_LIST_PREFIX)


def list_enum(word: str) -> "pb.SanctionsList.ValueType":
    return pb.SanctionsList.Value(_LIST_PREFIX + word)


def state_word(value: "pb.MatchState.ValueType") -> str:
    return pb.MatchState.Name(value).removeprefix(_MATCH_PREFIX)


def version_message(version: ListVersion) -> pb.SanctionsListVersion:
    return pb.SanctionsListVersion(
        list=list_enum(version.list),
        version=version.version,
        state=pb.SanctionsListVersionState.Value(_VERSION_PREFIX + version.state),
        checksum=version.checksum,
        entry_count=version.entry_count,
        added_count=version.added_count,
        changed_count=version.changed_count,
        removed_count=version.removed_count,
        create_time=to_timestamp(version.create_time),
        activate_time=to_timestamp(version.activate_time),
        confirm_time=to_timestamp(version.confirm_time),
    )


def match_message(match: Match) -> pb.Match:
    return pb.Match(
        id=match.match_id,
        subject_id=match.subject_id,
        list=list_enum(match.list),
        authority=LISTS[match.list].authority,
        entry_id=match.entry_id,
        entry_name=match.entry_name,
        programs=match.programs,
        score=match.score,
        explanation=_explanation_message(match.explanation),
        state=pb.MatchState.Value(_MATCH_PREFIX + match.state),
        decision_note=match.decision_note,
        subject_revision=match.profile_revision,
        list_version=match.list_version,
        create_time=to_timestamp(match.create_time),
        update_time=to_timestamp(match.update_time),
    )


def hit_message(active: ActiveList, hit: Hit) -> pb.Match:
    """A match that belongs to no subject: without id, state and times."""
    return pb.Match(
        list=list_enum(active.list),
        authority=LISTS[active.list].authority,
        entry_id=hit.entry.entry_id,
        entry_name=hit.entry.name,
        programs=hit.entry.programs,
        score=hit.score,
        explanation=_explanation_message(hit.explanation),
        list_version=active.version,
    )


def _explanation_message(explanation: Explanation) -> pb.MatchExplanation:
    return pb.MatchExplanation(
        subject_name=explanation.subject_name,
        list_name=explanation.list_name,
        list_name_type=explanation.list_name_type,
        parts=[
            pb.MatchedPart(
                subject_part=part.subject_part,
                list_part=part.list_part,
                similarity=part.similarity,
            )
            for part in explanation.parts
        ],
        name_score=explanation.name_score,
        birth_date_effect=explanation.birth_date_effect,
        country_effect=explanation.country_effect,
    )
