-- Adds items and revisions that are new, with their references and bytes. The caller holds the lock of intakes.
WITH given AS (
    SELECT DISTINCT ON (n.source, n.corridor, n.key, n.revision)
        n.source,
        n.corridor,
        n.key,
        n.revision,
        n.currency,
        n.amount_minor,
        n.instant,
        n.book_date,
        decode(n.sha256, 'hex') AS sha256,
        n.tokens,
        n.group_key,
        n.state,
        n.content,
        n.fee_minor,
        decode(n.source_bytes, 'base64') AS source_bytes
    FROM jsonb_to_recordset(%(items)s::jsonb) AS n (
        source text,
        corridor text,
        key text,
        revision bigint,
        currency text,
        amount_minor bigint,
        instant timestamptz,
        book_date date,
        sha256 text,
        tokens text [],
        group_key text,
        state text,
        content text,
        fee_minor bigint,
        source_bytes text
    )
    ORDER BY n.source, n.corridor, n.key, n.revision
),

fresh AS MATERIALIZED (
    SELECT
        g.source,
        g.corridor,
        g.key,
        g.revision,
        g.currency,
        g.amount_minor,
        g.instant,
        g.book_date,
        g.sha256,
        g.tokens,
        g.group_key,
        g.state,
        g.content,
        g.fee_minor,
        g.source_bytes,
        known.item_id AS known_id,
        nextval('item_ordinals') AS ordinal
    FROM given AS g
    LEFT JOIN LATERAL (
        SELECT i.item_id
        FROM item AS i
        WHERE i.source = g.source AND i.corridor = g.corridor AND i.key = g.key
        LIMIT 1
    ) AS known ON true
    WHERE NOT EXISTS (
        SELECT
        FROM item AS i
        WHERE i.source = g.source AND i.corridor = g.corridor AND i.key = g.key AND i.revision = g.revision
    )
),

placed AS MATERIALIZED (
    SELECT
        f.source,
        f.corridor,
        f.key,
        f.revision,
        f.currency,
        f.amount_minor,
        f.instant,
        f.book_date,
        f.sha256,
        f.tokens,
        f.group_key,
        f.state,
        f.content,
        f.fee_minor,
        f.source_bytes,
        f.ordinal,
        coalesce(f.known_id, min(f.ordinal) OVER (PARTITION BY f.source, f.corridor, f.key)) AS item_id
    FROM fresh AS f
),

linked AS (
    INSERT INTO item_token (corridor, token, item_id, ordinal)
    SELECT
        p.corridor,
        t.token,
        p.item_id,
        min(p.ordinal) AS ordinal
    FROM placed AS p
    CROSS JOIN unnest(p.tokens) AS t (token)
    GROUP BY p.corridor, t.token, p.item_id
    ON CONFLICT (corridor, token, item_id) DO NOTHING
),

kept AS (
    INSERT INTO item_bytes (ordinal, content)
    SELECT
        p.ordinal,
        p.source_bytes
    FROM placed AS p
    WHERE octet_length(p.source_bytes) > 0
)

INSERT INTO item (
    ordinal, item_id, source, corridor, key, revision, currency, amount_minor, instant, book_date, sha256, tokens,
    group_key, state, content, fee_minor, intake_number
)
SELECT
    p.ordinal,
    p.item_id,
    p.source,
    p.corridor,
    p.key,
    p.revision,
    p.currency,
    p.amount_minor,
    p.instant,
    p.book_date,
    p.sha256,
    p.tokens,
    p.group_key,
    p.state,
    p.content,
    p.fee_minor,
    %(intake_number)s
FROM placed AS p
