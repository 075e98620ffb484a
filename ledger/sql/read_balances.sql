-- Balances in order of the accounts' names.
SELECT
    b.name,
    b.currency_code,
    b.normal_balance,
    b.posted_debits,
    b.posted_credits,
    b.pending_debits,
    b.pending_credits,
    b.version
FROM balances_at(
    %(ledger_id)s, %(path)s, %(exact)s, %(after_name)s, %(sequence)s, %(moment)s, %(effective)s
) AS b
ORDER BY b.name
LIMIT %(limit)s
