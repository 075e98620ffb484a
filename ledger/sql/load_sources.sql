-- The transactions named, with what is left of each entry held (pending) or posted (others). Voids and
-- expiries have entries that release and no others, of which nothing can be left to settle. Everything is
-- looked up by its key: OFFSET 0 keeps the planner, which may know nothing of it yet, from reading it all.
WITH named AS (
    SELECT
        t.sequence,
        t.request_id,
        t.kind,
        t.expire_time
    FROM unnest(%(sequences)b) AS n (sequence)
    CROSS JOIN LATERAL (
        SELECT *
        FROM transactions
        WHERE transactions.ledger_id = %(ledger_id)s AND transactions.sequence = n.sequence
        OFFSET 0
    ) AS t
    UNION
    SELECT
        t.sequence,
        t.request_id,
        t.kind,
        t.expire_time
    FROM unnest(%(source_ids)b) AS n (request_id)
    CROSS JOIN LATERAL (
        SELECT *
        FROM transactions
        WHERE transactions.ledger_id = %(ledger_id)s AND transactions.request_id = n.request_id
        OFFSET 0
    ) AS t
),

-- Added up once: looked up entry by entry it would be the square of a large transaction.
reversed AS (
    SELECT
        n.sequence,
        re.source_entry_index AS entry_index,
        sum(re.amount)::bigint AS amount
    FROM named AS n
    CROSS JOIN LATERAL (
        SELECT transactions.sequence
        FROM transactions
        WHERE
            transactions.ledger_id = %(ledger_id)s
            AND transactions.reverses_sequence = n.sequence
        OFFSET 0
    ) AS rt
    CROSS JOIN LATERAL (
        SELECT
            entries.source_entry_index,
            entries.amount
        FROM entries
        WHERE entries.ledger_id = %(ledger_id)s AND entries.sequence = rt.sequence
        OFFSET 0
    ) AS re
    GROUP BY n.sequence, re.source_entry_index
)

SELECT
    t.sequence,
    t.request_id,
    t.kind,
    t.expire_time,
    s.kind AS settled_kind,
    s.sequence AS settled_by,
    e.entry_index,
    a.name,
    e.direction,
    a.currency_code,
    e.amount,
    coalesce(h.remaining, e.amount - coalesce(r.amount, 0)) AS remaining
FROM named AS t
CROSS JOIN LATERAL (
    SELECT *
    FROM entries
    WHERE entries.ledger_id = %(ledger_id)s AND entries.sequence = t.sequence
    OFFSET 0
) AS e
CROSS JOIN LATERAL (
    SELECT
        accounts.name,
        accounts.currency_code
    FROM accounts
    WHERE accounts.ledger_id = %(ledger_id)s AND accounts.account_number = e.account_number
    OFFSET 0
) AS a
LEFT JOIN LATERAL (
    SELECT holds.remaining
    FROM holds
    WHERE
        holds.ledger_id = %(ledger_id)s
        AND holds.sequence = e.sequence
        AND holds.entry_index = e.entry_index
    OFFSET 0
) AS h ON TRUE
LEFT JOIN reversed AS r ON e.sequence = r.sequence AND e.entry_index = r.entry_index
LEFT JOIN LATERAL (
    SELECT
        l.kind,
        l.sequence
    FROM transactions AS l
    WHERE l.ledger_id = %(ledger_id)s AND l.settles_sequence = t.sequence
    ORDER BY l.sequence DESC
    LIMIT 1
) AS s ON TRUE
WHERE e.effect <> 3 OR t.kind IN (4, 5)
ORDER BY t.sequence, e.entry_index
