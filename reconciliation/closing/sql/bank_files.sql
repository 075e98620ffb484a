-- The files of bank accounts of some corridors or of one account after the first ones, in the order they came in.
SELECT
    f.file_id,
    f.bank_account,
    f.sha256,
    coalesce(r.asked, '') AS asked
FROM bank_file AS f
LEFT JOIN bank_file_reading AS r ON f.file_id = r.file_id
WHERE
    f.bank_account IN (
        SELECT s.bank_account FROM bank_statement AS s
        WHERE s.corridor = any(%(corridors)s) OR s.bank_account = %(account)s
    )
ORDER BY f.bank_account, f.file_id
OFFSET %(after)s
LIMIT %(limit)s
