-- The files of an account that were refused after its last closed statement was taken, each once.
SELECT DISTINCT ON (r.sha256)
    r.sha256,
    r.problem,
    r.place,
    r.record_time
FROM bank_refusal AS r
WHERE
    r.bank_account = %(account)s
    AND r.record_time > coalesce(
        (
            SELECT max(s.record_time) FROM bank_statement AS s
            WHERE s.bank_account = %(account)s AND s.kind = 'BOOKED'
        ),
        '-infinity'
    )
ORDER BY r.sha256, r.refusal_id
LIMIT %(limit)s
