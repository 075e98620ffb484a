-- Where the next items are that some conditions hold for, in the order of lists: by book day, then as they came.
SELECT
    i.book_date,
    i.ordinal AS item_id
FROM item AS i
WHERE
    i.item_id = i.ordinal
    AND i.ordinal <= %(last_ordinal)s
    AND (i.book_date, i.ordinal) > (%(after_day)s, %(after)s)
    AND i.book_date <= %(last_day)s
    AND (%(source)s = '' OR i.source = %(source)s)
    AND (%(corridor)s = '' OR i.corridor = %(corridor)s)
ORDER BY i.book_date, i.ordinal
LIMIT %(limit)s
