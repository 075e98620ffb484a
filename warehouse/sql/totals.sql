-- What all rows of a ledger add up to, account by account. A hold whose time has come does not count any more,
-- whether the ledger has recorded so yet or not.
WITH movement AS (
    SELECT
        e.account,
        e.currency,
        e.direction,
        CASE WHEN e.effect = 'POST' THEN e.amount_minor ELSE 0 END AS posted,
        CASE e.effect WHEN 'HOLD' THEN e.amount_minor WHEN 'RELEASE' THEN -e.amount_minor ELSE 0 END AS pending
    FROM ledger_entry AS e
    WHERE e.ledger = {ledger}
    UNION ALL
    SELECT
        h.account,
        h.currency,
        h.direction,
        0 AS posted,
        -h.amount_minor AS pending
    FROM ledger_entry AS h
    INNER JOIN ledger_transaction AS t ON t.ledger = h.ledger AND t.sequence = h.sequence
    WHERE h.ledger = {ledger} AND h.effect = 'HOLD' AND t.expire_time <= {moment}
    UNION ALL
    SELECT
        r.account,
        r.currency,
        r.direction,
        0 AS posted,
        r.amount_minor AS pending
    FROM ledger_entry AS r
    INNER JOIN ledger_transaction AS s ON s.ledger = r.ledger AND s.sequence = r.sequence
    INNER JOIN ledger_transaction AS t ON t.ledger = s.ledger AND t.sequence = s.settles
    WHERE r.ledger = {ledger} AND r.effect = 'RELEASE' AND t.expire_time <= {moment}
)

SELECT
    m.account,
    m.currency,
    sum(CASE m.direction WHEN 'DEBIT' THEN m.posted ELSE 0 END) AS posted_debits,
    sum(CASE m.direction WHEN 'CREDIT' THEN m.posted ELSE 0 END) AS posted_credits,
    sum(CASE m.direction WHEN 'DEBIT' THEN m.pending ELSE 0 END) AS pending_debits,
    sum(CASE m.direction WHEN 'CREDIT' THEN m.pending ELSE 0 END) AS pending_credits
FROM movement AS m
GROUP BY m.account, m.currency;
