-- How each balance was known at a time, if anybody had looked at it lately.
SELECT DISTINCT ON (b.corridor, b.currency, b.part)
    b.corridor,
    b.currency,
    b.part,
    b.stripe_minor,
    b.sum_minor,
    b.sweep_time
FROM balance_reading AS b
WHERE
    b.record_time > %(since)s
    AND b.record_time <= %(time)s
    AND (%(corridor)s = '' OR b.corridor = %(corridor)s)
    AND (%(currency)s = '' OR b.currency = %(currency)s)
ORDER BY b.corridor, b.currency, b.part, b.reading_number DESC
