-- The last statement of each account, its last closing day, and the last refusal that came after it.
SELECT
    a.bank_account,
    coalesce((SELECT max(s.statement_id) FROM bank_statement AS s WHERE s.bank_account = a.bank_account), 0)
        AS statement_id,
    coalesce((SELECT max(r.refusal_id) FROM bank_refusal AS r WHERE r.bank_account = a.bank_account), 0)
        AS refusal_id
FROM unnest(%(accounts)s::text []) AS a (bank_account)
