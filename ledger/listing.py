"""Which transactions a list has: SQL that walks the index of its narrowest filter.

The other filters are checked one transaction after the other, at most `MAX_EXAMINED` of them for
a page: a page may end before it is full, and the next one goes on where it stopped.
"""

from typing import LiteralString, NamedTuple

from psycopg import sql

from ledger.rows import Filters

MAX_EXAMINED = 10_000

_OF_LEDGER = """
    SELECT t.sequence
    FROM transactions AS t
    WHERE t.ledger_id = %(ledger_id)s
"""
_OF_REFERENCE = f"{_OF_LEDGER} AND t.reference = %(reference)s"
# The account is looked up before the rest, so that its entries are walked in the index's order.
_OF_ACCOUNT = """
    SELECT DISTINCT t.sequence
    FROM entries AS t
    WHERE t.ledger_id = %(ledger_id)s AND t.account_number = (
        SELECT a.account_number
        FROM accounts AS a
        WHERE a.ledger_id = %(ledger_id)s AND a.name = %(account)s
    )
"""
# The index of kinds has no direct transactions: they are most of a ledger.
_OF_KINDS = """
    SELECT t.sequence
    FROM unnest(%(kinds)b) AS k (kind)
    CROSS JOIN LATERAL (
        SELECT t.sequence
        FROM transactions AS t
        WHERE t.ledger_id = %(ledger_id)s AND t.kind = k.kind AND t.kind <> 1
            AND {span}
        ORDER BY t.sequence {order}
        LIMIT {most}
    ) AS t
    WHERE TRUE
"""
_SPANS = {
    False: "t.sequence > greatest(%(after)s, %(floor)s)",
    True: "t.sequence > %(floor)s AND (%(after)s = 0 OR t.sequence < %(after)s)",
}
_DIRECT = 1

# OFFSET 0 has each candidate looked up by its key: the planner would rather walk them all to join.
_PAGE = """
WITH found AS MATERIALIZED (
    SELECT t.sequence
    FROM ({candidates} AND {span} ORDER BY t.sequence {order} LIMIT {most}) AS c
    CROSS JOIN LATERAL (
        SELECT x.*
        FROM transactions AS x
        WHERE x.ledger_id = %(ledger_id)s AND x.sequence = c.sequence
        OFFSET 0
    ) AS t
    WHERE {conditions}
    ORDER BY c.sequence {order}
    LIMIT %(limit)s
)

SELECT
    f.sequence,
    TRUE AS fits
FROM found AS f
UNION ALL
SELECT
    l.sequence,
    FALSE
FROM (
    {candidates} AND {span} ORDER BY t.sequence {order} OFFSET {most} - 1 LIMIT 1
) AS l
WHERE (SELECT count(*) FROM found) < %(limit)s
"""


class Listed(NamedTuple):
    """Sequences that pass the filters. `stopped_at` is the last one examined, if the page ended
    there before it was full."""

    sequences: list[int]
    stopped_at: int | None


def page_statement(filters: Filters, *, descending: bool) -> str:
    """A query for (sequence, fits): those that pass, and one that does not where it stopped."""
    candidates: LiteralString
    conditions: list[LiteralString] = []
    by_kind = bool(filters.kinds) and _DIRECT not in filters.kinds
    if filters.reference:
        candidates = _OF_REFERENCE
        if filters.account:
            conditions.append(
                "EXISTS ("
                "SELECT FROM accounts AS a INNER JOIN entries AS e"
                " ON a.ledger_id = e.ledger_id AND a.account_number = e.account_number"
                " WHERE a.ledger_id = %(ledger_id)s AND a.name = %(account)s"
                " AND e.sequence = t.sequence)"
            )
    elif filters.account:
        candidates = _OF_ACCOUNT
    else:
        candidates = _OF_KINDS if by_kind else _OF_LEDGER
    if filters.kinds and candidates is not _OF_KINDS:
        conditions.append("t.kind = ANY(%(kinds)b)")
    # Where every candidate passes, no more than the page are examined.
    most = sql.Literal(MAX_EXAMINED) if conditions else sql.SQL("%(limit)s")
    parts = {
        "span": sql.SQL(_SPANS[descending]),
        "order": sql.SQL("DESC" if descending else "ASC"),
        "most": most,
    }
    query = sql.SQL(_PAGE).format(
        candidates=sql.SQL(candidates).format(**parts),
        conditions=sql.SQL(" AND ").join(map(sql.SQL, conditions or ["TRUE"])),
        **parts,
    )
    return query.as_string()
