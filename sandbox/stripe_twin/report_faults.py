"""What a test has wrong in reports: rows that are missing, doubled, late or of another amount.

The account's books stay right, and what was done is kept for a judge.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReportFaultKind(StrEnum):
    """What goes wrong."""

    ROW_MISSING = "row_missing"
    ROW_DOUBLED = "row_doubled"
    # It is there as soon as the next day's data is available, in reports of its own day.
    ROW_LATE = "row_late"
    ROW_OTHER_AMOUNT = "row_other_amount"
    RUN_FAILED = "run_failed"


MAX_DIFFERENCE_MINOR = 10**12


class ReportFault(BaseModel):
    """A rule: hits `count` rows, or runs, after it has let `skip` pass.

    `report_type` may hold `*`; `by` is the difference of another amount in minor units, of gross
    and net alike. A row that was hit once is so in every later run of the type.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ReportFaultKind
    report_type: str = "*"
    count: int = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    by: int = Field(default=0, ge=-MAX_DIFFERENCE_MINOR, le=MAX_DIFFERENCE_MINOR)

    @model_validator(mode="after")
    def _has_a_difference(self) -> Self:
        if (self.by != 0) != (self.kind is ReportFaultKind.ROW_OTHER_AMOUNT):
            raise ValueError("by: another amount has one, no other fault")
        return self


@dataclass(frozen=True, slots=True)
class InjectedReportFault:
    """What was done: in which type, to which balance transaction, or that a run failed.

    `amount` is how much the net of the rows is more than it should be, in Stripe's minor units.
    `since` is how far the data of the type reached when it was done.
    """

    fault_id: str
    kind: ReportFaultKind
    report_type: str
    transaction_id: str
    amount: int
    since: int


@dataclass(slots=True)
class _Active:
    fault_id: str
    fault: ReportFault
    hits: int = 0
    passed: int = 0


@dataclass(slots=True)
class ReportFaults:
    """The rules of one account that are on, and what they did."""

    injected: list[InjectedReportFault] = field(default_factory=list)
    _active: list[_Active] = field(default_factory=list)
    _count: int = 0

    def add(self, fault: ReportFault) -> str:
        """Switches a rule on; its id."""
        self._count += 1
        self._active.append(_Active(f"report-fault-{self._count}", fault))
        return self._active[-1].fault_id

    def clear(self) -> None:
        """Switches all rules off. Rows that they hit stay as they are."""
        self._active.clear()

    def fails_run(self, report_type: str, since: int) -> bool:
        """Whether a run is to fail."""
        return self._hit(report_type, "", 0, since, is_run=True) is not None

    def of_row(
        self, report_type: str, transaction_id: str, net: int, since: int
    ) -> InjectedReportFault | None:
        """What is wrong with a row: as it was, or as a rule has it now."""
        for injected in self.injected:
            if (injected.report_type, injected.transaction_id) == (report_type, transaction_id):
                is_over = injected.kind is ReportFaultKind.ROW_LATE and since > injected.since
                return None if is_over else injected
        return self._hit(report_type, transaction_id, net, since, is_run=False)

    def _hit(
        self, report_type: str, transaction_id: str, net: int, since: int, *, is_run: bool
    ) -> InjectedReportFault | None:
        for active in self._active:
            fault = active.fault
            if (fault.kind is ReportFaultKind.RUN_FAILED) != is_run:
                continue
            if active.hits >= fault.count or not fnmatchcase(report_type, fault.report_type):
                continue
            if active.passed < fault.skip:
                active.passed += 1
                continue
            active.hits += 1
            amount = {
                ReportFaultKind.ROW_MISSING: -net,
                ReportFaultKind.ROW_LATE: -net,
                ReportFaultKind.ROW_DOUBLED: net,
            }.get(fault.kind, fault.by)
            injected = InjectedReportFault(
                active.fault_id, fault.kind, report_type, transaction_id, amount, since
            )
            self.injected.append(injected)
            return injected
        return None
