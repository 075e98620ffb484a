-- The items of a period of a corridor: those of its days that had come when the last of them was closed, and those
-- of closed days before it that came after those were closed.
SELECT i.ordinal AS item_id
FROM item AS i
WHERE
    i.item_id = i.ordinal
    AND i.corridor = %(corridor)s
    AND i.book_date BETWEEN %(first_day)s AND %(last_day)s
    AND i.ordinal <= %(last_ordinal)s
UNION ALL
SELECT i.ordinal AS item_id
FROM item AS i
WHERE
    i.item_id = i.ordinal
    AND i.corridor = %(corridor)s
    AND i.book_date >= %(first_closed)s
    AND i.book_date < %(first_day)s
    AND i.ordinal > %(late_after)s
    AND i.ordinal <= %(last_ordinal)s
