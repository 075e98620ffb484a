-- What compliance said last of a merchant's payments, and of a customer's to this merchant.
SELECT
    (
        SELECT p.compliance ->> 'verdict'
        FROM payment AS p
        WHERE p.merchant_id = :merchant_id AND p.compliance IS NOT NULL AND p.id <> :payment_id
        ORDER BY p.create_time DESC, p.id DESC
        LIMIT 1
    ) AS of_merchant,
    c.verdict AS of_customer,
    c.create_time AS customer_time
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT
        p.compliance ->> 'verdict' AS verdict,
        p.create_time
    FROM payment AS p
    WHERE
        p.customer_id = :customer_id
        AND p.merchant_id = :merchant_id
        AND p.compliance IS NOT NULL
        AND p.id <> :payment_id
    ORDER BY p.create_time DESC, p.id DESC
    LIMIT 1
) AS c ON TRUE
