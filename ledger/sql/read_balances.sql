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
    %(ledger_id)s, %(path)s, %(low)s, %(high)s, %(sequence)s, %(moment)s, %(effective)s, %(known)s,
    %(born)s
) AS b
WHERE b.name > %(after_name)s
ORDER BY b.name
LIMIT %(limit)s
