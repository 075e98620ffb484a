-- What came before a payment: the newest of its customer, and of the card number that an earlier
-- payment with the same token had. Each is the range of an index, and is read no further than `most`.
WITH earlier AS (
    SELECT
        'customer' AS payer,
        of_customer.*
    FROM (
        SELECT
            p.create_time,
            p.captured_minor,
            p.decline_count,
            p.radar_outcome ->> 'risk_level' AS risk_level,
            NULL::jsonb AS card
        FROM payment AS p
        WHERE
            :customer_id <> ''
            AND p.customer_id = :customer_id
            AND (p.create_time, p.id) < (:create_time, :payment_id)
        ORDER BY p.create_time DESC, p.id DESC
        LIMIT :most
    ) AS of_customer
    UNION ALL
    SELECT
        'card' AS payer,
        of_card.*
    FROM (
        SELECT known.card_fingerprint
        FROM payment AS known
        WHERE known.payment_method = :payment_method AND known.card_fingerprint <> ''
        ORDER BY known.create_time DESC, known.id DESC
        LIMIT 1
    ) AS card
    CROSS JOIN LATERAL (
        SELECT
            p.create_time,
            p.captured_minor,
            p.decline_count,
            p.radar_outcome ->> 'risk_level' AS risk_level,
            p.card
        FROM payment AS p
        WHERE
            p.card_fingerprint = card.card_fingerprint
            AND p.card_fingerprint <> ''
            AND (p.create_time, p.id) < (:create_time, :payment_id)
        ORDER BY p.create_time DESC, p.id DESC
        LIMIT :most
    ) AS of_card
)

SELECT
    payer,
    count(*) FILTER (WHERE create_time > :hour) AS within_hour,
    count(*) FILTER (WHERE create_time > :day) AS within_day,
    count(*) FILTER (WHERE create_time > :week) AS within_week,
    bool_or(captured_minor > 0) AS has_paid,
    coalesce(bool_or(decline_count > 0) FILTER (WHERE create_time > :hour), FALSE) AS declined,
    coalesce(bool_or(risk_level IN ('normal', 'elevated', 'highest')), FALSE) AS rated,
    max(create_time) FILTER (WHERE risk_level IN ('elevated', 'highest')) AS elevated_time,
    max(create_time) FILTER (WHERE risk_level = 'highest') AS highest_time,
    (array_agg(card ORDER BY create_time DESC) FILTER (WHERE card IS NOT NULL))[1] AS card
FROM earlier
GROUP BY payer
