-- The accounts and currencies that lines of a bank had come of at a moment.
SELECT DISTINCT
    i.corridor,
    i.currency
FROM item AS i
INNER JOIN intake AS n ON i.intake_number = n.intake_number
WHERE i.source = 'BANK' AND n.record_time <= %(time)s
