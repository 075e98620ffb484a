-- Payments of which something asked for, or a refund, has not ended: it may end without a change of the payment.
SELECT o.payment_id
FROM payment_operation AS o
WHERE o.end_time IS NULL
UNION
SELECT r.payment_id
FROM refund AS r
WHERE r.state IN ('PENDING', 'REQUIRES_ACTION')
ORDER BY payment_id;
