-- What is kept beside the entries, recomputed from them; the first difference, if any, in this order.
WITH numbered AS (
    SELECT
        e.*,
        count(*) OVER steps AS expected_version,
        sum(CASE WHEN e.effect = 1 AND e.direction = 1 THEN e.amount ELSE 0 END)
            OVER steps AS expected_posted_debits,
        sum(CASE WHEN e.effect = 1 AND e.direction = 2 THEN e.amount ELSE 0 END)
            OVER steps AS expected_posted_credits,
        sum(
            CASE
                WHEN e.direction <> 1 OR e.effect = 1 THEN 0
                WHEN e.effect = 2 THEN e.amount
                ELSE -e.amount
            END
        ) OVER steps AS expected_pending_debits,
        sum(
            CASE
                WHEN e.direction <> 2 OR e.effect = 1 THEN 0
                WHEN e.effect = 2 THEN e.amount
                ELSE -e.amount
            END
        ) OVER steps AS expected_pending_credits
    FROM entries AS e
    WHERE e.ledger_id = %(ledger_id)s
    WINDOW steps AS (PARTITION BY e.account_number ORDER BY e.sequence, e.entry_index)
),

last_entries AS (
    SELECT DISTINCT ON (n.account_number) n.*
    FROM numbered AS n
    ORDER BY n.account_number, n.sequence DESC, n.entry_index DESC
),

kept_holds AS (
    SELECT
        h.sequence,
        h.entry_index,
        h.account_number,
        h.remaining
    FROM holds AS h
    WHERE h.ledger_id = %(ledger_id)s
),

expected_holds AS (
    SELECT
        e.sequence,
        e.entry_index,
        e.account_number,
        held_at(e.ledger_id, e.sequence, e.entry_index, h.last_sequence) AS remaining
    FROM entries AS e
    INNER JOIN ledger_heads AS h ON e.ledger_id = h.ledger_id
    WHERE e.ledger_id = %(ledger_id)s AND e.effect = 2
),

differences AS (
    SELECT
        1 AS place,
        'sequence' AS projection,
        NULL::integer AS account_number,
        s.sequence,
        s.expected::text AS expected,
        s.sequence::text AS found
    FROM (
        SELECT
            t.sequence,
            row_number() OVER (ORDER BY t.sequence) AS expected
        FROM transactions AS t
        WHERE t.ledger_id = %(ledger_id)s
    ) AS s
    WHERE s.sequence <> s.expected
    UNION ALL
    SELECT
        2,
        'head',
        NULL,
        h.last_sequence,
        count(t.sequence)::text,
        h.last_sequence::text
    FROM ledger_heads AS h
    LEFT JOIN transactions AS t ON h.ledger_id = t.ledger_id
    WHERE h.ledger_id = %(ledger_id)s
    GROUP BY h.ledger_id, h.last_sequence
    HAVING count(t.sequence) <> h.last_sequence
    UNION ALL
    SELECT
        3,
        'zero_sum',
        NULL,
        e.sequence,
        '0',
        a.currency_code
        || ' ' || sum(CASE e.direction WHEN 1 THEN e.amount ELSE -e.amount END)
    FROM entries AS e
    LEFT JOIN accounts AS a
        ON e.ledger_id = a.ledger_id AND e.account_number = a.account_number
    WHERE e.ledger_id = %(ledger_id)s
    GROUP BY e.sequence, a.currency_code, e.effect
    HAVING
        sum(CASE e.direction WHEN 1 THEN e.amount ELSE -e.amount END) <> 0
        OR a.currency_code IS NULL
    UNION ALL
    SELECT
        4,
        'running_balance',
        n.account_number,
        n.sequence,
        concat_ws(
            ' ', n.expected_posted_debits, n.expected_posted_credits, n.expected_pending_debits,
            n.expected_pending_credits, n.expected_version
        ),
        concat_ws(
            ' ', n.posted_debits, n.posted_credits, n.pending_debits, n.pending_credits, n.version
        )
    FROM numbered AS n
    WHERE
        (
            n.expected_posted_debits, n.expected_posted_credits, n.expected_pending_debits,
            n.expected_pending_credits, n.expected_version
        )
        <> (n.posted_debits, n.posted_credits, n.pending_debits, n.pending_credits, n.version)
    UNION ALL
    SELECT
        5,
        'balance',
        a.account_number,
        n.sequence,
        concat_ws(
            ' ', coalesce(n.expected_posted_debits, 0), coalesce(n.expected_posted_credits, 0),
            coalesce(n.expected_pending_debits, 0), coalesce(n.expected_pending_credits, 0),
            coalesce(n.expected_version, 0)
        ),
        concat_ws(
            ' ', b.posted_debits, b.posted_credits, b.pending_debits, b.pending_credits, b.version
        )
    FROM accounts AS a
    LEFT JOIN balances AS b
        ON a.ledger_id = b.ledger_id AND a.account_number = b.account_number
    LEFT JOIN last_entries AS n ON a.account_number = n.account_number
    WHERE
        a.ledger_id = %(ledger_id)s
        AND (
            b.posted_debits, b.posted_credits, b.pending_debits, b.pending_credits, b.version
        )
        IS DISTINCT FROM (
            coalesce(n.expected_posted_debits, 0), coalesce(n.expected_posted_credits, 0),
            coalesce(n.expected_pending_debits, 0), coalesce(n.expected_pending_credits, 0),
            coalesce(n.expected_version, 0)
        )
    UNION ALL
    SELECT
        6,
        'hold',
        coalesce(k.account_number, x.account_number),
        coalesce(k.sequence, x.sequence),
        x.remaining::text,
        k.remaining::text
    FROM kept_holds AS k
    FULL JOIN expected_holds AS x ON k.sequence = x.sequence AND k.entry_index = x.entry_index
    WHERE
        (k.account_number, k.remaining) IS DISTINCT FROM (x.account_number, x.remaining)
)

SELECT
    d.projection,
    coalesce(a.name, ''),
    coalesce(d.sequence, 0),
    coalesce(d.expected, ''),
    coalesce(d.found, '')
FROM differences AS d
LEFT JOIN accounts AS a
    ON a.ledger_id = %(ledger_id)s AND d.account_number = a.account_number
ORDER BY d.place, d.sequence, d.account_number
LIMIT 1
