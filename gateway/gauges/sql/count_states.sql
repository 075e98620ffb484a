-- What waits, by measure and labels: how many, and since when the oldest does.
WITH open_operation AS (
    SELECT
        operation.kind,
        operation.state,
        operation.corridor,
        operation.queued,
        operation.subject_id,
        CASE
            WHEN operation.queued THEN coalesce(operation.queue_time, operation.create_time)
            ELSE coalesce(operation.first_send_time, operation.create_time)
        END AS since
    FROM operation
    WHERE operation.end_time IS NULL
)

SELECT
    'operations' AS measure,
    kind || ' ' || state AS label,
    count(*) AS number,
    min(since) AS oldest_time
FROM open_operation
GROUP BY kind, state
UNION ALL
SELECT
    'queued',
    corridor,
    count(*),
    min(since)
FROM open_operation
WHERE queued
GROUP BY corridor
UNION ALL
SELECT
    'in review',
    '',
    count(*),
    min(open_operation.since)
FROM open_operation
INNER JOIN payment ON open_operation.subject_id = payment.id
WHERE payment.state = 'IN_REVIEW'
UNION ALL
SELECT
    'dead deliveries',
    '',
    count(*),
    min(delivery.end_time)
FROM webhook_delivery AS delivery
INNER JOIN webhook_endpoint AS endpoint ON delivery.endpoint_id = endpoint.id
WHERE delivery.state = 'DEAD' AND coalesce(endpoint.feed_state, endpoint.state) <> 'DELETED'
UNION ALL
SELECT
    'disabled endpoints',
    '',
    count(*),
    NULL
FROM webhook_endpoint
WHERE coalesce(feed_state, state) = 'DISABLED' AND disable_cause <> 'client'
