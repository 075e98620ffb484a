-- The last of the next spans of closed holds, and the first difference, if any, in them.
WITH chunk AS (
    SELECT s.*
    FROM hold_spans AS s
    WHERE
        s.ledger_id = %(ledger_id)s
        AND (s.account_number, s.node, s.closed_sequence, s.sequence, s.entry_index)
        > (%(k0)s, %(k1)s, %(k2)s, %(k3)s, %(k4)s)
    ORDER BY s.account_number, s.node, s.closed_sequence, s.sequence, s.entry_index
    LIMIT %(limit)s
),

differences AS (
    SELECT
        c.account_number,
        c.sequence,
        concat_ws(
            ' ', e.account_number, span_node(c.sequence, c.closed_sequence - 1), 0, TRUE
        ) AS expected,
        concat_ws(
            ' ', c.account_number, c.node,
            held_at(c.ledger_id, c.sequence, c.entry_index, c.closed_sequence),
            held_at(c.ledger_id, c.sequence, c.entry_index, c.closed_sequence - 1) > 0
        ) AS found
    FROM chunk AS c
    LEFT JOIN entries AS e
        ON
            c.ledger_id = e.ledger_id
            AND c.sequence = e.sequence
            AND c.entry_index = e.entry_index
            AND e.effect = 2
)

SELECT
    CASE WHEN d.sequence IS NOT NULL THEN 'hold_span' END,
    coalesce(a.name, ''),
    coalesce(d.sequence, 0),
    coalesce(d.expected, ''),
    coalesce(d.found, ''),
    c.account_number,
    c.node,
    c.closed_sequence,
    c.sequence,
    c.entry_index
FROM (
    SELECT k.*
    FROM chunk AS k
    ORDER BY
        k.account_number DESC, k.node DESC, k.closed_sequence DESC, k.sequence DESC,
        k.entry_index DESC
    LIMIT 1
) AS c
LEFT JOIN LATERAL (
    SELECT *
    FROM differences AS f
    WHERE f.expected <> f.found
    ORDER BY f.account_number, f.sequence
    LIMIT 1
) AS d ON TRUE
LEFT JOIN accounts AS a
    ON a.ledger_id = %(ledger_id)s AND d.account_number = a.account_number
