-- The transactions that settle or reverse one, in order.
(
    SELECT
        t.sequence,
        TRUE AS settles
    FROM transactions AS t
    WHERE t.ledger_id = %(ledger_id)s AND t.settles_sequence = %(sequence)s
    ORDER BY t.sequence
    LIMIT %(limit)s
)
UNION ALL
(
    SELECT
        t.sequence,
        FALSE
    FROM transactions AS t
    WHERE t.ledger_id = %(ledger_id)s AND t.reverses_sequence = %(sequence)s
    ORDER BY t.sequence
    LIMIT %(limit)s
)
