-- The transactions named, with what is left of each entry held (pending) or posted (others). Voids and
-- expiries have entries that release and no others, of which nothing can be left to settle.
WITH named AS (
    SELECT
        t.sequence,
        t.request_id,
        t.kind,
        t.expire_time
    FROM transactions AS t
    WHERE
        t.ledger_id = %(ledger_id)s
        AND (t.sequence = ANY(%(sequences)b) OR t.request_id = ANY(%(source_ids)b))
),

-- Added up once: looked up entry by entry it would be the square of a large transaction.
reversed AS (
    SELECT
        n.sequence,
        re.source_entry_index AS entry_index,
        sum(re.amount)::bigint AS amount
    FROM named AS n
    INNER JOIN transactions AS rt
        ON rt.ledger_id = %(ledger_id)s AND n.sequence = rt.reverses_sequence
    INNER JOIN entries AS re ON rt.ledger_id = re.ledger_id AND rt.sequence = re.sequence
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
INNER JOIN entries AS e ON e.ledger_id = %(ledger_id)s AND t.sequence = e.sequence
INNER JOIN accounts AS a ON e.ledger_id = a.ledger_id AND e.account_number = a.account_number
LEFT JOIN holds AS h
    ON e.ledger_id = h.ledger_id AND e.sequence = h.sequence AND e.entry_index = h.entry_index
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
