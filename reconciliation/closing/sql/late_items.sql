-- Items up to an ordinal that came after their day was closed, and after the last look at such.
SELECT
    i.corridor,
    i.source,
    i.book_date,
    i.currency,
    i.key,
    i.amount_minor,
    i.ordinal,
    k.record_time
FROM item AS i
INNER JOIN closed_period AS p
    ON i.corridor = p.corridor AND p.kind = 'DAY' AND i.book_date = p.first_day AND i.ordinal > p.last_ordinal
INNER JOIN intake AS k ON i.intake_number = k.intake_number
WHERE
    i.item_id = i.ordinal
    AND i.ordinal > %(after)s
    AND i.ordinal <= %(upto)s
ORDER BY i.corridor, i.source, i.book_date, i.ordinal
