"""Decisions judged anew by another policy, in a process of its own.

Judging a hundred thousand decisions takes most of a minute of one core, and the serving process has
none to spare: its checks would wait for the interpreter. The judge reads lines of JSON and answers
each with one, and ends when its input does, so that it never outlives who asked.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from compliance.checks.canonical import dumps, loads
from compliance.checks.decision import DecisionRecord
from compliance.checks.policy import Policy
from compliance.checks.rules import evaluate, verdict_of
from runtime.child_process import ChildProcess, open_child_process

# How many records are on their way to the judge, so that neither waits for the other.
WINDOW = 64
UNREADABLE = b"null"
START = "from compliance.policies.judging import serve; serve()"


class JudgeGoneError(OSError):
    """The judge ended before it had answered."""


@dataclass(frozen=True)
class Judged:
    """A decision and what a policy says of the same facts. Verdicts and codes are words."""

    decision_id: str
    sequence: int
    decided: str
    candidate: str
    currency_code: str
    amount_minor: int
    candidate_codes: tuple[str, ...]

    @property
    def is_changed(self) -> bool:
        """Whether it would have been decided otherwise."""
        return self.decided != self.candidate


def judge(record: DecisionRecord, sequence: int, policy: Policy) -> Judged:
    """What the rules of this release say of a decision's facts under a policy."""
    findings = evaluate(record.facts, policy)
    return Judged(
        decision_id=record.decision_id,
        sequence=sequence,
        decided=record.verdict,
        candidate=verdict_of(findings).name,
        currency_code=record.facts.currency_code,
        amount_minor=record.facts.amount_minor,
        candidate_codes=tuple(dict.fromkeys(finding.code.name for finding in findings)),
    )


class Judge:
    """The other process, for one caller at a time."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process as the system knows it."""
        return self._child.process

    async def judge(
        self, policy: Policy, records: Sequence[tuple[int, str]]
    ) -> list[Judged | None]:
        """Each record (its sequence and its text) judged; None if it cannot be read."""
        await self._ask(["policy", dumps(policy)])
        judged: list[Judged | None] = []
        for first in range(0, len(records), WINDOW):
            window = records[first : first + WINDOW]
            for sequence, text in window:
                await self._ask([sequence, text])
            judged += [await self._answer() for _ in window]
        return judged

    async def _ask(self, what: object) -> None:
        try:
            await self._child.send(json.dumps(what).encode() + b"\n")
        except ConnectionError as error:
            raise JudgeGoneError("the judge has closed its input") from error

    async def _answer(self) -> Judged | None:
        try:
            line = await self._child.reader.readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise JudgeGoneError(f"the judge ended with {await self._child.ended()}")
        return None if line == UNREADABLE + b"\n" else loads(line.decode(), Judged)


@asynccontextmanager
async def open_judge() -> AsyncIterator[Judge]:
    """Starts the process; ends it on leaving, whatever it is at."""
    async with open_child_process("-c", START) as child:
        yield Judge(child)


def serve() -> None:
    """The judge's side."""
    for answer in answers(sys.stdin.buffer):
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()


def answers(lines: Iterable[bytes]) -> Iterator[bytes]:
    """An answer for each record, by the policy that came before it."""
    policy: Policy | None = None
    for line in lines:
        what, text = json.loads(line)
        if what == "policy":
            policy = loads(text, Policy)
            continue
        assert policy is not None, "no policy came before the first record"
        try:
            record = loads(text, DecisionRecord)
        except ValueError:
            # A later release's, or one that is damaged: counted, and its neighbours go on.
            yield UNREADABLE
            continue
        yield dumps(judge(record, what, policy)).encode()
