-- What customers, their cards and their merchant have paid before, as compliance/checks/history.py keeps it: of
-- customers and cards one payment of 1,000 minor units a day, of the merchant every bucket that there can be.
WITH clock AS (
    SELECT
        %(now_us)s::bigint / 60000000 AS minute,
        %(now_us)s::bigint / 86400000000 * 1440 AS today
),

of_each AS (
    SELECT
        json_agg(
            json_build_array(c.today - (d + 2) * 1440, 1440, 1, 1000, 0)
            ORDER BY d DESC
        ) AS buckets
    FROM clock AS c
    CROSS JOIN generate_series(1, %(payments)s::bigint) AS d
),

widths AS (
    SELECT
        c.today - d * 1440 AS start,
        1440 AS minutes
    FROM clock AS c
    CROSS JOIN generate_series(3, 32) AS d
    UNION ALL
    SELECT
        c.today - 2 * 1440 + h * 60 AS start,
        60 AS minutes
    FROM clock AS c
    CROSS JOIN generate_series(0, 71) AS h
    WHERE c.today - 2 * 1440 + h * 60 + 60 <= c.minute - 180
    UNION ALL
    SELECT
        c.minute / 60 * 60 - 120 + f * 5 AS start,
        5 AS minutes
    FROM clock AS c
    CROSS JOIN generate_series(0, 35) AS f
    WHERE c.minute / 60 * 60 - 120 + f * 5 <= c.minute
),

of_merchant AS (
    SELECT
        json_agg(
            json_build_array(
                w.start,
                w.minutes,
                %(customers)s::bigint * %(payments)s / (SELECT count(*) FROM widths),
                %(customers)s::bigint * %(payments)s / (SELECT count(*) FROM widths) * 1000,
                0
            )
            ORDER BY w.start
        ) AS buckets
    FROM widths AS w
)

INSERT INTO payment_history (scope, key, currency_code, content)
SELECT
    item.scope,
    item.key,
    'EUR' AS currency_code,
    json_build_object(
        'buckets', item.buckets,
        'last_us', %(now_us)s::bigint - 259200000000,
        'before_last_us', %(now_us)s::bigint - 345600000000,
        'customers', item.customers
    )::text AS content
FROM (
    SELECT
        'MERCHANT' AS scope,
        %(merchant)s AS key,
        (SELECT buckets FROM of_merchant) AS buckets,
        json_build_array() AS customers
    UNION ALL
    SELECT
        'CUSTOMER' AS scope,
        %(customer)s || '-' || n AS key,
        (SELECT buckets FROM of_each) AS buckets,
        json_build_array() AS customers
    FROM generate_series(1, %(customers)s::bigint) AS n
    UNION ALL
    SELECT
        'CARD' AS scope,
        'main/card' || n AS key,
        (SELECT buckets FROM of_each) AS buckets,
        json_build_array(
            json_build_array(%(customer)s || '-' || n, %(now_us)s::bigint - 259200000000)
        ) AS customers
    FROM generate_series(1, %(customers)s::bigint) AS n
) AS item
