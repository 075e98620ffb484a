-- The transactions named, with what is left of each entry held (pending) or posted (others). Voids and
-- expiries have entries that release and no others, of which nothing can be left to settle.
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
    coalesce(h.remaining, e.amount - r.reversed) AS remaining
FROM transactions AS t
INNER JOIN entries AS e ON t.ledger_id = e.ledger_id AND t.sequence = e.sequence
INNER JOIN accounts AS a ON e.ledger_id = a.ledger_id AND e.account_number = a.account_number
LEFT JOIN holds AS h
    ON e.ledger_id = h.ledger_id AND e.sequence = h.sequence AND e.entry_index = h.entry_index
LEFT JOIN LATERAL (
    SELECT
        l.kind,
        l.sequence
    FROM transactions AS l
    WHERE l.ledger_id = t.ledger_id AND l.settles_sequence = t.sequence
    ORDER BY l.sequence DESC
    LIMIT 1
) AS s ON TRUE
LEFT JOIN LATERAL (
    SELECT coalesce(sum(re.amount), 0)::bigint AS reversed
    FROM transactions AS rt
    INNER JOIN entries AS re ON rt.ledger_id = re.ledger_id AND rt.sequence = re.sequence
    WHERE
        rt.ledger_id = t.ledger_id
        AND rt.reverses_sequence = t.sequence
        AND re.source_entry_index = e.entry_index
) AS r ON TRUE
WHERE
    t.ledger_id = %(ledger_id)s
    AND (t.sequence = ANY(%(sequences)b) OR t.request_id = ANY(%(source_ids)b))
    AND (e.effect <> 3 OR t.kind IN (4, 5))
ORDER BY t.sequence, e.entry_index
