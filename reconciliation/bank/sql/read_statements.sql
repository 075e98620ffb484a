-- Statements in the order in which they were taken; all conditions that are given hold.
SELECT
    s.statement_id,
    s.bank_account,
    f.file_name,
    f.sha256 AS file_sha256,
    f.byte_count,
    s.position,
    s.kind,
    s.version,
    s.number,
    s.page,
    s.currency,
    s.opening_minor,
    s.opening_date,
    s.closing_minor,
    s.closing_date,
    s.first_day,
    s.last_day,
    s.line_count,
    s.continuity,
    s.other_statement_id,
    s.continuity_reason,
    s.record_time,
    f.client
FROM bank_statement AS s
INNER JOIN bank_file AS f ON s.file_id = f.file_id
WHERE
    s.statement_id > %(after)s
    AND (%(account)s = '' OR s.bank_account = %(account)s)
    AND (%(kind)s = '' OR s.kind = %(kind)s)
    AND (%(file_id)s = 0 OR s.file_id = %(file_id)s)
    AND (%(as_of)s::timestamptz IS NULL OR s.record_time <= %(as_of)s)
ORDER BY s.statement_id
LIMIT %(limit)s
