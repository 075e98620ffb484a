-- The last of the next accounts, and the first difference, if any, of what is kept of them.
WITH chunk AS (
    SELECT a.*
    FROM accounts AS a
    WHERE a.ledger_id = %(ledger_id)s AND a.account_number > %(k0)s
    ORDER BY a.account_number
    LIMIT %(limit)s
),

differences AS (
    SELECT
        1 AS place,
        'account' AS projection,
        c.account_number,
        0::bigint AS sequence,
        n.expected::text AS expected,
        c.account_number::text AS found
    FROM chunk AS c
    INNER JOIN (
        SELECT
            k.account_number,
            %(k0)s + row_number() OVER (ORDER BY k.account_number) AS expected
        FROM chunk AS k
    ) AS n ON c.account_number = n.account_number
    WHERE n.expected <> c.account_number
    UNION ALL
    SELECT
        2,
        'balance',
        c.account_number,
        coalesce(e.sequence, 0),
        concat_ws(
            ' ', coalesce(e.posted_debits, 0), coalesce(e.posted_credits, 0),
            coalesce(e.pending_debits, 0), coalesce(e.pending_credits, 0), coalesce(e.version, 0)
        ),
        concat_ws(
            ' ', b.posted_debits, b.posted_credits, b.pending_debits, b.pending_credits, b.version
        )
    FROM chunk AS c
    LEFT JOIN balances AS b
        ON c.ledger_id = b.ledger_id AND c.account_number = b.account_number
    LEFT JOIN LATERAL (
        SELECT n.*
        FROM entries AS n
        WHERE n.ledger_id = c.ledger_id AND n.account_number = c.account_number
        ORDER BY n.sequence DESC, n.entry_index DESC
        LIMIT 1
    ) AS e ON TRUE
    WHERE
        (b.posted_debits, b.posted_credits, b.pending_debits, b.pending_credits, b.version)
        IS DISTINCT FROM (
            coalesce(e.posted_debits, 0), coalesce(e.posted_credits, 0),
            coalesce(e.pending_debits, 0), coalesce(e.pending_credits, 0),
            coalesce(e.version, 0)
        )
    UNION ALL
    -- Runs that no mark stands for: the others are recomputed with their marks.
    SELECT
        3,
        'dated_run',
        c.account_number,
        0,
        '',
        concat_ws(' ', r.level, r.position)
    FROM chunk AS c
    LEFT JOIN LATERAL (
        SELECT m.position
        FROM dated_marks AS m
        WHERE m.ledger_id = c.ledger_id AND m.account_number = c.account_number
        ORDER BY m.sequence DESC, m.entry_index DESC
        LIMIT 1
    ) AS m ON TRUE
    CROSS JOIN generate_series(1, 3) AS l (level)
    CROSS JOIN LATERAL (
        SELECT
            d.level,
            d.position
        FROM dated_runs AS d
        WHERE
            d.ledger_id = c.ledger_id
            AND d.account_number = c.account_number
            AND d.level = l.level
            AND d.position >= (coalesce(m.position, -1) + 1) >> (5 * (l.level - 1))
        LIMIT 1
    ) AS r
)

SELECT
    d.projection,
    coalesce(a.name, ''),
    coalesce(d.sequence, 0),
    coalesce(d.expected, ''),
    coalesce(d.found, ''),
    c.account_number
FROM (SELECT max(k.account_number) AS account_number FROM chunk AS k) AS c
LEFT JOIN LATERAL (
    SELECT *
    FROM differences AS f
    ORDER BY f.account_number, f.place
    LIMIT 1
) AS d ON TRUE
LEFT JOIN chunk AS a ON d.account_number = a.account_number
WHERE c.account_number IS NOT NULL
