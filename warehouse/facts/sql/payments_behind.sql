-- Payments with changes behind a place of the feed.
SELECT DISTINCT h.payment_id
FROM payment_history AS h
WHERE h.epoch > {epoch} OR (h.epoch = {epoch} AND h.sequence > {sequence})
ORDER BY h.payment_id;
