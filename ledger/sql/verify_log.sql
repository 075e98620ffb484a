-- The first difference, if any, in a span of the log: what its entries say against what is kept of them.
WITH chunk AS (
    SELECT t.*
    FROM transactions AS t
    WHERE
        t.ledger_id = %(ledger_id)s
        AND t.sequence > %(after)s
        AND t.sequence <= %(through)s
),

legs AS (
    SELECT e.*
    FROM entries AS e
    WHERE
        e.ledger_id = %(ledger_id)s
        AND e.sequence > %(after)s
        AND e.sequence <= %(through)s
),

-- The account's entry before: in the span, or the last one before it.
steps AS (
    SELECT
        l.*,
        coalesce(l.seen_posted_debits, b.posted_debits, 0) AS before_posted_debits,
        coalesce(l.seen_posted_credits, b.posted_credits, 0) AS before_posted_credits,
        coalesce(l.seen_pending_debits, b.pending_debits, 0) AS before_pending_debits,
        coalesce(l.seen_pending_credits, b.pending_credits, 0) AS before_pending_credits,
        coalesce(l.seen_version, b.version, 0) AS before_version
    FROM (
        SELECT
            e.*,
            lag(e.posted_debits) OVER log AS seen_posted_debits,
            lag(e.posted_credits) OVER log AS seen_posted_credits,
            lag(e.pending_debits) OVER log AS seen_pending_debits,
            lag(e.pending_credits) OVER log AS seen_pending_credits,
            lag(e.version) OVER log AS seen_version
        FROM legs AS e
        WINDOW log AS (PARTITION BY e.account_number ORDER BY e.sequence, e.entry_index)
    ) AS l
    LEFT JOIN LATERAL (
        SELECT p.*
        FROM entries AS p
        WHERE
            l.seen_version IS NULL
            AND p.ledger_id = %(ledger_id)s
            AND p.account_number = l.account_number
            AND p.sequence <= %(after)s
        ORDER BY p.sequence DESC, p.entry_index DESC
        LIMIT 1
    ) AS b ON TRUE
),

balanced AS (
    SELECT
        s.*,
        concat_ws(
            ' ',
            s.before_posted_debits
            + CASE WHEN s.effect = 1 AND s.direction = 1 THEN s.amount::numeric ELSE 0 END,
            s.before_posted_credits
            + CASE WHEN s.effect = 1 AND s.direction = 2 THEN s.amount::numeric ELSE 0 END,
            s.before_pending_debits
            + CASE
                WHEN s.effect = 1 OR s.direction = 2 THEN 0
                WHEN s.effect = 2 THEN s.amount::numeric
                ELSE -s.amount::numeric
            END,
            s.before_pending_credits
            + CASE
                WHEN s.effect = 1 OR s.direction = 1 THEN 0
                WHEN s.effect = 2 THEN s.amount::numeric
                ELSE -s.amount::numeric
            END,
            s.before_version + 1
        ) AS expected,
        concat_ws(
            ' ', s.posted_debits, s.posted_credits, s.pending_debits, s.pending_credits, s.version
        ) AS found
    FROM steps AS s
),

differences AS (
    SELECT
        1 AS place,
        'sequence' AS projection,
        NULL::integer AS account_number,
        n.sequence,
        n.sequence::text AS expected,
        '' AS found
    FROM generate_series(%(after)s::bigint + 1, %(through)s::bigint) AS n (sequence)
    LEFT JOIN chunk AS t ON n.sequence = t.sequence
    WHERE t.sequence IS NULL
    UNION ALL
    SELECT
        2,
        'record_time',
        NULL,
        t.sequence,
        p.record_time::text,
        t.record_time::text
    FROM chunk AS t
    INNER JOIN transactions AS p ON t.ledger_id = p.ledger_id AND t.sequence - 1 = p.sequence
    WHERE t.record_time < p.record_time
    UNION ALL
    SELECT
        3,
        'entries',
        NULL,
        coalesce(t.sequence, c.sequence),
        coalesce(t.entry_count, 0)::text,
        coalesce(c.entry_count, 0)::text
    FROM chunk AS t
    FULL JOIN (
        SELECT
            e.sequence,
            count(*) AS entry_count,
            max(e.entry_index) + 1 AS numbered
        FROM legs AS e
        GROUP BY e.sequence
    ) AS c ON t.sequence = c.sequence
    WHERE (t.entry_count, t.entry_count) IS DISTINCT FROM (c.entry_count, c.numbered)
    UNION ALL
    SELECT
        4,
        'effective_time',
        e.account_number,
        e.sequence,
        coalesce(t.effective_time::text, ''),
        coalesce(e.effective_time::text, '')
    FROM legs AS e
    INNER JOIN chunk AS t ON e.sequence = t.sequence
    WHERE e.effective_time IS DISTINCT FROM t.effective_time
    UNION ALL
    SELECT
        5,
        'zero_sum',
        NULL,
        e.sequence,
        '0',
        e.currency_code
        || ' ' || sum(CASE e.direction WHEN 1 THEN e.amount ELSE -e.amount END)
    FROM (
        SELECT
            l.*,
            (
                SELECT a.currency_code
                FROM accounts AS a
                WHERE a.ledger_id = l.ledger_id AND a.account_number = l.account_number
            ) AS currency_code
        FROM legs AS l
    ) AS e
    GROUP BY e.sequence, e.currency_code, e.effect
    HAVING
        sum(CASE e.direction WHEN 1 THEN e.amount ELSE -e.amount END) <> 0
        OR e.currency_code IS NULL
    UNION ALL
    SELECT
        6,
        'running_balance',
        b.account_number,
        b.sequence,
        b.expected,
        b.found
    FROM balanced AS b
    WHERE b.expected <> b.found
    -- A release takes no more than is left of the entry held, on its account and side.
    UNION ALL
    SELECT
        7,
        'settlement',
        e.account_number,
        e.sequence,
        concat_ws(' ', s.account_number, s.direction, 0),
        concat_ws(
            ' ', e.account_number, e.direction,
            least(held_at(s.ledger_id, s.sequence, s.entry_index, e.sequence), 0)
        )
    FROM legs AS e
    INNER JOIN chunk AS t ON e.sequence = t.sequence
    LEFT JOIN entries AS s
        ON
            s.ledger_id = %(ledger_id)s
            AND t.settles_sequence = s.sequence
            AND e.source_entry_index = s.entry_index
            AND s.effect = 2
    WHERE
        e.effect = 3
        AND (
            (e.account_number, e.direction) IS DISTINCT FROM (s.account_number, s.direction)
            OR held_at(s.ledger_id, s.sequence, s.entry_index, e.sequence) < 0
        )
    UNION ALL
    -- A reversal takes no more than the entry reversed, on its account and the other side.
    SELECT
        8,
        'reversal',
        e.account_number,
        e.sequence,
        concat_ws(' ', s.account_number, 3 - s.direction, s.amount),
        concat_ws(' ', e.account_number, e.direction, r.reversed)
    FROM legs AS e
    INNER JOIN chunk AS t ON e.sequence = t.sequence
    LEFT JOIN entries AS s
        ON
            s.ledger_id = %(ledger_id)s
            AND t.reverses_sequence = s.sequence
            AND e.source_entry_index = s.entry_index
            AND s.effect = 1
    CROSS JOIN LATERAL (
        SELECT sum(o.amount) AS reversed
        FROM transactions AS f
        INNER JOIN entries AS o ON f.ledger_id = o.ledger_id AND f.sequence = o.sequence
        WHERE
            f.ledger_id = %(ledger_id)s
            AND f.reverses_sequence = t.reverses_sequence
            AND f.sequence <= t.sequence
            AND o.source_entry_index = e.source_entry_index
    ) AS r
    WHERE
        t.kind = 6
        AND (
            (e.account_number, e.direction) IS DISTINCT FROM (s.account_number, 3 - s.direction)
            OR r.reversed > s.amount
        )
    UNION ALL
    SELECT
        9,
        'hold',
        coalesce(k.account_number, x.account_number),
        coalesce(k.sequence, x.sequence),
        concat_ws(' ', x.direction, x.remaining, x.expire_time),
        concat_ws(' ', k.direction, k.remaining, k.expire_time)
    FROM (
        SELECT h.*
        FROM holds AS h
        WHERE
            h.ledger_id = %(ledger_id)s
            AND h.sequence > %(after)s
            AND h.sequence <= %(through)s
    ) AS k
    FULL JOIN (
        SELECT
            e.sequence,
            e.entry_index,
            e.account_number,
            e.direction,
            held_at(e.ledger_id, e.sequence, e.entry_index, 9223372036854775807) AS remaining,
            t.expire_time
        FROM legs AS e
        INNER JOIN chunk AS t ON e.sequence = t.sequence
        WHERE e.effect = 2
    ) AS x ON k.sequence = x.sequence AND k.entry_index = x.entry_index
    WHERE
        (k.account_number, k.direction, k.remaining, k.expire_time)
        IS DISTINCT FROM (x.account_number, x.direction, x.remaining, x.expire_time)
    UNION ALL
    -- An id stands for one thing: a transaction that has it, or a decision.
    SELECT
        10,
        'request_id',
        NULL,
        t.sequence,
        t.request_id,
        'operation ' || d.operation
    FROM chunk AS t
    INNER JOIN decisions AS d ON t.ledger_id = d.ledger_id AND t.request_id = d.request_id
    UNION ALL
    SELECT
        11,
        'hold_span',
        c.account_number,
        c.sequence,
        c.closed_sequence::text,
        ''
    FROM snapshot_heads AS h
    CROSS JOIN LATERAL closed_holds(
        h.ledger_id, %(after)s, least(h.last_sequence, %(through)s)
    ) AS c
    LEFT JOIN hold_spans AS s
        ON
            s.ledger_id = %(ledger_id)s
            AND c.account_number = s.account_number
            AND s.node = span_node(c.sequence, c.closed_sequence - 1)
            AND c.closed_sequence = s.closed_sequence
            AND c.sequence = s.sequence
            AND c.entry_index = s.entry_index
    WHERE h.ledger_id = %(ledger_id)s AND s.sequence IS NULL
)

SELECT
    d.projection,
    coalesce(a.name, d.account_number::text, ''),
    d.sequence,
    coalesce(d.expected, ''),
    coalesce(d.found, '')
FROM differences AS d
LEFT JOIN accounts AS a
    ON a.ledger_id = %(ledger_id)s AND d.account_number = a.account_number
ORDER BY d.sequence, d.place, d.account_number
LIMIT 1
