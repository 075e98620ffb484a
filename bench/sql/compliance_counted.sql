-- The payments that were counted, as compliance/checks/history.py keeps them.
INSERT INTO counted_payment (reference_id, content)
SELECT
    'before-' || n || '-' || p,
    json_build_object(
        'reference_id', 'before-' || n || '-' || p,
        'merchant_id', %(merchant)s::text,
        'customer_id', %(customer)s || '-' || n,
        'card', 'main/card' || n,
        'currency_code', 'EUR',
        'amount_minor', 1000,
        'count_time', %(now_us)s::bigint - (p + 2) * 86400000000,
        'is_near', FALSE
    )::text
FROM generate_series(1, %(customers)s::bigint) AS n
CROSS JOIN generate_series(1, %(payments)s::bigint) AS p
