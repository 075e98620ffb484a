-- Adds the transactions of some sequences, from a multiple of 100 and one on. Of every 100, two are held:
-- one is posted 50 later, the other voided, but one in ten of those stays open. Five count earlier than they
-- were recorded, ten have a reference. Accounts debited follow Zipf's law of exponent 1, accounts
-- credited are each as likely as the others.
WITH drawn AS MATERIALIZED (
    SELECT
        n AS sequence,
        CASE
            WHEN n %% 100 IN (10, 30) THEN 2
            WHEN n %% 100 = 60 THEN 3
            WHEN n %% 100 = 80 AND n / 100 %% 10 <> 0 THEN 4
            ELSE 1
        END AS kind,
        floor(power(%(accounts)s, random()))::integer AS debited,
        1 + floor(random() * %(accounts)s)::integer AS credited,
        (128 + floor(random() * 1000))::bigint AS amount,
        date_trunc('milliseconds', %(start)s::timestamptz) + n * interval '1 millisecond' AS record_time,
        random() * interval '30 days' AS age
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
),

chosen AS MATERIALIZED (
    SELECT
        d.sequence,
        d.kind,
        d.record_time,
        s.debited,
        CASE s.credited WHEN s.debited THEN s.debited %% %(accounts)s + 1 ELSE s.credited END AS credited,
        s.amount,
        CASE d.sequence %% 20 WHEN 7 THEN d.record_time - d.age END AS effective_time,
        CASE d.kind WHEN 2 THEN timestamptz '2100-01-01 00:00:00Z' END AS expire_time,
        CASE d.sequence %% 10 WHEN 3 THEN 'order-' || d.sequence END AS reference,
        CASE WHEN d.kind IN (3, 4) THEN s.sequence END AS settles_sequence
    FROM drawn AS d
    INNER JOIN drawn AS s
        ON s.sequence = CASE WHEN d.kind IN (3, 4) THEN d.sequence - 50 ELSE d.sequence END
),

legs AS (
    SELECT
        c.sequence,
        l.entry_index,
        CASE l.direction WHEN 1 THEN c.debited ELSE c.credited END AS account_number,
        l.direction,
        l.effect,
        l.source,
        c.amount,
        c.effective_time
    FROM chosen AS c
    INNER JOIN (
        VALUES
        (1, 0, 1, 1, NULL), (1, 1, 2, 1, NULL), (2, 0, 1, 2, NULL), (2, 1, 2, 2, NULL),
        (3, 0, 1, 3, 0), (3, 1, 1, 1, 0), (3, 2, 2, 3, 1), (3, 3, 2, 1, 1),
        (4, 0, 1, 3, 0), (4, 1, 2, 3, 1)
    ) AS l (kind, entry_index, direction, effect, source) ON c.kind = l.kind
),

added AS MATERIALIZED (
    SELECT
        l.*,
        t.posted_debits
        + sum(CASE WHEN l.effect = 1 AND l.direction = 1 THEN l.amount ELSE 0 END) OVER log AS posted_debits,
        t.posted_credits
        + sum(CASE WHEN l.effect = 1 AND l.direction = 2 THEN l.amount ELSE 0 END) OVER log AS posted_credits,
        t.pending_debits + sum(
            CASE WHEN l.direction = 2 OR l.effect = 1 THEN 0 WHEN l.effect = 2 THEN l.amount ELSE -l.amount END
        ) OVER log AS pending_debits,
        t.pending_credits + sum(
            CASE WHEN l.direction = 1 OR l.effect = 1 THEN 0 WHEN l.effect = 2 THEN l.amount ELSE -l.amount END
        ) OVER log AS pending_credits,
        t.version + row_number() OVER log AS version
    FROM legs AS l
    INNER JOIN history_totals AS t ON l.account_number = t.account_number
    WINDOW log AS (PARTITION BY l.account_number ORDER BY l.sequence, l.entry_index)
),

-- The leaf as ledger/leaf.py writes it.
leaves AS (
    SELECT
        a.sequence,
        string_agg(
            '{"account":"merchants/m_' || lpad((a.account_number - 1)::text, 6, '0') || '/payable","amount":"'
            || a.amount || '","currency":"EUR","direction":"'
            || CASE a.direction WHEN 1 THEN 'DEBIT' ELSE 'CREDIT' END || '","effect":"'
            || CASE a.effect WHEN 1 THEN 'POST' WHEN 2 THEN 'HOLD' ELSE 'RELEASE' END
            || '","pending_credits":"' || a.pending_credits || '","pending_debits":"' || a.pending_debits
            || '","posted_credits":"' || a.posted_credits || '","posted_debits":"' || a.posted_debits
            || CASE WHEN a.source IS NULL THEN '' ELSE '","source_entry":"' || a.source END
            || '","version":"' || a.version || '"}', ',' ORDER BY a.entry_index
        ) AS entries,
        count(*) AS entry_count
    FROM added AS a
    GROUP BY a.sequence
),

added_transactions AS (
    INSERT INTO transactions (
        ledger_id, sequence, kind, entry_count, record_time, effective_time, expire_time, request_id,
        settles_sequence, reference, body, leaf_hash
    )
    SELECT
        1, c.sequence, c.kind, l.entry_count, c.record_time, c.effective_time, c.expire_time,
        'history-' || c.sequence, c.settles_sequence, c.reference,
        CASE
            WHEN c.kind <= 2 THEN
                history_leg(d.name, 1, c.amount) || history_leg(k.name, 2, c.amount)
                || CASE c.kind WHEN 2 THEN '\x1001'::bytea ELSE '' END
            ELSE ''
        END,
        sha256('\x00'::bytea || convert_to(
            '{"effective_time":"' || history_time(coalesce(c.effective_time, c.record_time)) || '","entries":['
            || l.entries || '],'
            || CASE WHEN c.expire_time IS NULL THEN ''
                ELSE '"expire_time":"' || history_time(c.expire_time) || '",' END
            || '"kind":"' || (ARRAY['DIRECT', 'PENDING', 'POST', 'VOID'])[c.kind]
            || '","ledger":"bench","record_time":"' || history_time(c.record_time) || '",'
            || CASE WHEN c.reference IS NULL THEN '' ELSE '"reference":"' || c.reference || '",' END
            || '"request_id":"history-' || c.sequence || '","sequence":"' || c.sequence || '"'
            || CASE WHEN c.settles_sequence IS NULL THEN '' ELSE ',"settles":"' || c.settles_sequence || '"' END
            || '}', 'UTF8'
        ))
    FROM chosen AS c
    INNER JOIN leaves AS l ON c.sequence = l.sequence
    INNER JOIN accounts AS d ON d.ledger_id = 1 AND c.debited = d.account_number
    INNER JOIN accounts AS k ON k.ledger_id = 1 AND c.credited = k.account_number
    ORDER BY c.sequence
),

added_entries AS (
    INSERT INTO entries (
        ledger_id, sequence, entry_index, account_number, direction, effect, source_entry_index, amount,
        posted_debits, posted_credits, pending_debits, pending_credits, version, effective_time
    )
    SELECT
        1, a.sequence, a.entry_index, a.account_number, a.direction, a.effect, a.source, a.amount,
        a.posted_debits, a.posted_credits, a.pending_debits, a.pending_credits, a.version, a.effective_time
    FROM added AS a
    ORDER BY a.sequence, a.entry_index
),

changed_totals AS (
    UPDATE history_totals AS t
    SET
        posted_debits = n.posted_debits,
        posted_credits = n.posted_credits,
        pending_debits = n.pending_debits,
        pending_credits = n.pending_credits,
        version = n.version
    FROM (
        SELECT DISTINCT ON (a.account_number) a.*
        FROM added AS a
        ORDER BY a.account_number, a.sequence DESC, a.entry_index DESC
    ) AS n
    WHERE t.account_number = n.account_number
)

INSERT INTO holds (ledger_id, sequence, entry_index, account_number, direction, remaining, expire_time)
SELECT
    1, a.sequence, a.entry_index, a.account_number, a.direction,
    CASE WHEN s.sequence IS NULL THEN a.amount ELSE 0 END,
    timestamptz '2100-01-01 00:00:00Z'
FROM added AS a
LEFT JOIN chosen AS s ON a.sequence = s.settles_sequence
WHERE a.effect = 2
