"""A subject as stored, and its form in the contract."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from compliance.v1 import subject_pb2 as pb
from compliance.wire_time import to_timestamp

_KIND_PREFIX = "SUBJECT_KIND_"
_STATE_PREFIX = "SUBJECT_STATE_"
_KYC_PREFIX = "KYC_STATE_"
_ENTITY_PREFIX = "ENTITY_KIND_"


@dataclass(frozen=True)
class Subject:
    """A row of the table `subject`; words are those of the contract's enums."""

    subject_id: str
    kind: str
    legal_name: str
    aliases: tuple[str, ...]
    entity_kind: str
    birth_date: str
    country_code: str
    parent_subject_id: str | None
    corridor: str | None
    connected_account_id: str | None
    state: str
    kyc_state: str
    kyc_verify_time: datetime | None
    kyc_expire_time: datetime | None
    revision: int
    profile_revision: int
    create_time: datetime
    update_time: datetime

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the legal one first."""
        return (self.legal_name, *self.aliases)

    @property
    def is_person(self) -> bool | None:
        """Whether it is a human being; None if nobody said."""
        return None if self.entity_kind == "UNSPECIFIED" else self.entity_kind == "INDIVIDUAL"

    def to_message(self) -> pb.Subject:
        return pb.Subject(
            subject_id=self.subject_id,
            kind=pb.SubjectKind.Value(_KIND_PREFIX + self.kind),
            profile=pb.SubjectProfile(
                legal_name=self.legal_name,
                aliases=self.aliases,
                entity_kind=pb.EntityKind.Value(_ENTITY_PREFIX + self.entity_kind),
                birth_date=self.birth_date,
                country_code=self.country_code,
            ),
            parent_subject_id=self.parent_subject_id or "",
            account=pb.AccountLink(
                corridor=self.corridor or "",
                connected_account_id=self.connected_account_id,
            )
            if self.connected_account_id
            else None,
            state=pb.SubjectState.Value(_STATE_PREFIX + self.state),
            kyc_state=pb.KycState.Value(_KYC_PREFIX + self.kyc_state),
            kyc_verify_time=to_timestamp(self.kyc_verify_time),
            kyc_expire_time=to_timestamp(self.kyc_expire_time),
            revision=self.revision,
            create_time=to_timestamp(self.create_time),
            update_time=to_timestamp(self.update_time),
        )


def subject_of(row: RowMapping) -> Subject:
    """The subject of a row."""
    values = {name: row[name] for name in Subject.__dataclass_fields__}
    return Subject(**{**values, "aliases": tuple(row["aliases"])})


def profile_values(profile: pb.SubjectProfile) -> dict[str, Any]:
    """A profile as columns."""
    return {
        "legal_name": profile.legal_name,
        "aliases": list(profile.aliases),
        "entity_kind": pb.EntityKind.Name(profile.entity_kind).removeprefix(_ENTITY_PREFIX),
        "birth_date": profile.birth_date,
        "country_code": profile.country_code,
    }


def kind_word(kind: "pb.SubjectKind.ValueType") -> str:
    return pb.SubjectKind.Name(kind).removeprefix(_KIND_PREFIX)


def state_word(state: "pb.SubjectState.ValueType") -> str:
    return pb.SubjectState.Name(state).removeprefix(_STATE_PREFIX)


def kyc_word(state: "pb.KycState.ValueType") -> str:
    return pb.KycState.Name(state).removeprefix(_KYC_PREFIX)
