-- Adds up the windows of some merchants that end with a day; who has nothing in them has no row. What is of a later
-- day, by a clock that is ahead, is in every window.
WITH asked AS (
    SELECT DISTINCT m.merchant_id
    FROM unnest(cast(:merchants AS text [])) AS m (merchant_id)
),

summed AS (
    SELECT
        o.merchant_id,
        o.currency_code,
        w.place,
        sum(o.payments) FILTER (WHERE o.day > cast(:day AS date) - w.days) AS payments,
        sum(o.captured_minor) FILTER (WHERE o.day > cast(:day AS date) - w.days) AS captured_minor,
        sum(o.refunds) FILTER (WHERE o.day > cast(:day AS date) - w.days) AS refunds,
        sum(o.refunded_minor) FILTER (WHERE o.day > cast(:day AS date) - w.days) AS refunded_minor,
        sum(o.disputes) FILTER (WHERE o.day > cast(:day AS date) - w.days) AS disputes,
        sum(o.disputed_minor) FILTER (WHERE o.day > cast(:day AS date) - w.days) AS disputed_minor
    FROM asked AS a
    INNER JOIN merchant_outcome AS o ON a.merchant_id = o.merchant_id
    CROSS JOIN unnest(cast(:windows AS int [])) WITH ORDINALITY AS w (days, place)
    WHERE o.day > cast(:day AS date) - cast(:most_days AS int)
    GROUP BY o.merchant_id, o.currency_code, w.place
),

by_currency AS (
    SELECT
        s.merchant_id,
        s.currency_code,
        jsonb_build_array(
            jsonb_agg(coalesce(s.payments, 0) ORDER BY s.place),
            jsonb_agg(coalesce(s.captured_minor, 0) ORDER BY s.place),
            jsonb_agg(coalesce(s.refunds, 0) ORDER BY s.place),
            jsonb_agg(coalesce(s.refunded_minor, 0) ORDER BY s.place),
            jsonb_agg(coalesce(s.disputes, 0) ORDER BY s.place),
            jsonb_agg(coalesce(s.disputed_minor, 0) ORDER BY s.place)
        ) AS figures
    FROM summed AS s
    GROUP BY s.merchant_id, s.currency_code
),

written AS (
    INSERT INTO merchant_rates (merchant_id, day, figures)
    SELECT
        c.merchant_id,
        cast(:day AS date) AS day,
        jsonb_object_agg(c.currency_code, c.figures) AS figures
    FROM by_currency AS c
    GROUP BY c.merchant_id
    ON CONFLICT (merchant_id) DO UPDATE SET day = excluded.day, figures = excluded.figures
)

DELETE FROM merchant_rates AS r
USING asked AS a
WHERE
    r.merchant_id = a.merchant_id
    AND NOT EXISTS (SELECT 1 FROM by_currency AS c WHERE c.merchant_id = a.merchant_id)
