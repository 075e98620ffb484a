-- The closed statements of an account that had been taken at a time, without their lines.
SELECT
    s.statement_id,
    encode(f.sha256, 'hex') AS file_sha256,
    s.position,
    s.bank_statement_id,
    s.number,
    s.page,
    s.opening_minor,
    s.opening_date::text AS opening_date,
    s.closing_minor,
    s.closing_date::text AS closing_date,
    s.first_day::text AS first_day,
    s.last_day::text AS last_day,
    '{}'::text [] AS entries
FROM bank_statement AS s
INNER JOIN bank_file AS f ON s.file_id = f.file_id
WHERE s.bank_account = %(account)s AND s.kind = 'BOOKED' AND s.record_time <= %(time)s
