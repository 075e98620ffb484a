-- Keeps the matches of some changes, still standing, whose fees differ between the ledger and Stripe; their days.
-- Items of which no fee is known are not compared, nor are those that they are matched with.
WITH fees AS (
    SELECT
        m.match_id,
        i.corridor,
        i.currency,
        i.source,
        i.key,
        i.book_date,
        coalesce(
            (
                SELECT r.fee_minor
                FROM item AS r
                WHERE r.item_id = i.item_id AND r.item_id <> r.ordinal AND r.fee_minor IS NOT NULL
                ORDER BY r.ordinal DESC
                LIMIT 1
            ),
            i.fee_minor
        ) AS fee_minor
    FROM item_match AS m
    INNER JOIN standing AS s ON m.match_id = s.match_id
    INNER JOIN item AS i ON s.item_id = i.ordinal
    WHERE
        m.leg = 'BOOKED'
        AND m.change_number > %(after)s
        AND m.change_number <= %(upto)s
        AND NOT EXISTS (SELECT FROM match_revocation AS r WHERE r.match_id = m.match_id)
),

unequal AS (
    SELECT
        f.match_id,
        f.corridor,
        f.currency,
        min(f.key) FILTER (WHERE f.source = 'STRIPE') AS key,
        min(f.book_date) FILTER (WHERE f.source = 'STRIPE') AS book_date,
        sum(f.fee_minor) FILTER (WHERE f.source = 'STRIPE') AS told_minor,
        sum(f.fee_minor) FILTER (WHERE f.source = 'LEDGER') AS booked_minor
    FROM fees AS f
    GROUP BY f.match_id, f.corridor, f.currency
    HAVING
        count(*) = count(f.fee_minor)
        AND sum(f.fee_minor) FILTER (WHERE f.source = 'STRIPE')
        <> sum(f.fee_minor) FILTER (WHERE f.source = 'LEDGER')
)

INSERT INTO booked_fee_variance (
    match_id, currency, corridor, book_date, key, told_minor, booked_minor, record_time
)
SELECT
    u.match_id,
    u.currency,
    u.corridor,
    u.book_date,
    u.key,
    u.told_minor,
    u.booked_minor,
    %(now)s
FROM unequal AS u
RETURNING corridor, book_date
