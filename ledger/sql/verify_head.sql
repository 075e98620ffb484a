-- How far a ledger's log and accounts go, and the first difference, if any, of what says so.
SELECT
    d.projection,
    d.expected,
    d.found,
    h.last_sequence
FROM ledger_heads AS h
CROSS JOIN LATERAL (
    SELECT
        t.sequence,
        t.record_time
    FROM ledgers AS l
    LEFT JOIN transactions AS t ON l.ledger_id = t.ledger_id
    WHERE l.ledger_id = h.ledger_id
    ORDER BY t.sequence DESC NULLS LAST
    LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT max(e.sequence) AS last_sequence
    FROM entries AS e
    WHERE e.ledger_id = h.ledger_id
) AS e
CROSS JOIN LATERAL (
    SELECT max(a.account_number) AS last_number
    FROM accounts AS a
    WHERE a.ledger_id = h.ledger_id
) AS a
LEFT JOIN snapshot_heads AS s ON h.ledger_id = s.ledger_id
LEFT JOIN LATERAL (
    SELECT max(c.tree_size) AS tree_size
    FROM checkpoints AS c
    WHERE c.ledger_id = h.ledger_id
) AS c ON TRUE
LEFT JOIN LATERAL (
    SELECT *
    FROM (
        VALUES
        ('head', coalesce(t.sequence, 0)::text, h.last_sequence::text),
        ('head', coalesce(t.record_time::text, ''), coalesce(h.last_record_time::text, '')),
        ('head', coalesce(a.last_number, 0)::text, h.last_account_number::text),
        ('entries', coalesce(t.sequence, 0)::text, coalesce(e.last_sequence, 0)::text),
        (
            'snapshot_head', least(s.last_sequence, h.last_sequence)::text,
            s.last_sequence::text
        ),
        ('checkpoint', least(c.tree_size, h.last_sequence)::text, c.tree_size::text)
    ) AS v (projection, expected, found)
    WHERE v.expected <> v.found
    LIMIT 1
) AS d ON TRUE
WHERE h.ledger_id = %(ledger_id)s
