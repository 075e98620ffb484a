-- Payments of which something asked for, or a refund, has not ended: it may end without a change of the payment.
SELECT o.payment_id
FROM payment_operation_version AS o
WHERE
    o.end_time IS NULL
    AND NOT o.is_gone
    AND NOT EXISTS (
        SELECT n.operation_id
        FROM payment_operation_version AS n
        WHERE n.operation_id = o.operation_id AND n.load_number > o.load_number
    )
UNION
SELECT r.payment_id
FROM refund_version AS r
WHERE
    r.state IN ('PENDING', 'REQUIRES_ACTION')
    AND NOT r.is_gone
    AND NOT EXISTS (
        SELECT n.refund_id
        FROM refund_version AS n
        WHERE n.refund_id = r.refund_id AND n.load_number > r.load_number
    )
ORDER BY payment_id;
