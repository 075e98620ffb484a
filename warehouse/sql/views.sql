-- What finance asks every day. Amounts are minor units; days are those of UTC, by the time at which it happened.

CREATE OR REPLACE VIEW ledger_trial_balance AS
SELECT
    e.ledger,
    e.account,
    e.currency,
    sum(CASE e.direction WHEN 'DEBIT' THEN e.amount_minor ELSE 0 END) AS debits_minor,
    sum(CASE e.direction WHEN 'CREDIT' THEN e.amount_minor ELSE 0 END) AS credits_minor
FROM ledger_entry AS e
WHERE e.effect = 'POST'
GROUP BY e.ledger, e.account, e.currency;

-- The parts of an account's path: corridor, and what it is for; merchants' accounts are put together.
CREATE OR REPLACE VIEW ledger_movement AS
SELECT
    e.ledger,
    e.sequence,
    e.entry_index,
    cast(e.effective_time AT TIME ZONE 'UTC' AS date) AS book_day,
    split_part(e.account, '/', 1) AS corridor,
    e.currency,
    CASE split_part(e.account, '/', 3) WHEN 'merchants' THEN split_part(e.account, '/', 4) END AS merchant,
    CASE split_part(e.account, '/', 3)
        WHEN 'merchants' THEN split_part(e.account, '/', 5)
        WHEN 'stripe' THEN concat('stripe/', split_part(e.account, '/', 4))
        ELSE split_part(e.account, '/', 3)
    END AS purpose,
    split_part(t.request_id, '.', 1) AS fact,
    CASE e.direction WHEN 'DEBIT' THEN e.amount_minor ELSE -e.amount_minor END AS debit_minor
FROM ledger_entry AS e
INNER JOIN ledger_transaction AS t ON t.ledger = e.ledger AND t.sequence = e.sequence
WHERE e.effect = 'POST';

-- What arrived at the bank and what left it.
CREATE OR REPLACE VIEW ledger_daily_cash AS
SELECT
    m.ledger,
    m.book_day,
    m.corridor,
    m.currency,
    sum(CASE WHEN m.debit_minor > 0 THEN m.debit_minor ELSE 0 END) AS in_minor,
    sum(CASE WHEN m.debit_minor < 0 THEN -m.debit_minor ELSE 0 END) AS out_minor
FROM ledger_movement AS m
WHERE m.purpose = 'bank'
GROUP BY m.ledger, m.book_day, m.corridor, m.currency;

-- What Stripe charged, by the kind of fact that says so.
CREATE OR REPLACE VIEW ledger_daily_fees AS
SELECT
    m.ledger,
    m.book_day,
    m.corridor,
    m.currency,
    m.fact,
    sum(m.debit_minor) AS fees_minor
FROM ledger_movement AS m
WHERE m.purpose = 'fees'
GROUP BY m.ledger, m.book_day, m.corridor, m.currency, m.fact;

-- What became of what merchants are owed: captured, refunded, held for disputes, day by day.
CREATE OR REPLACE VIEW ledger_daily_merchant AS
SELECT
    m.ledger,
    m.book_day,
    m.corridor,
    m.currency,
    m.merchant,
    -sum(CASE m.purpose WHEN 'payable' THEN m.debit_minor ELSE 0 END) AS payable_minor,
    sum(CASE m.purpose WHEN 'refunds' THEN m.debit_minor ELSE 0 END) AS refunds_minor,
    sum(CASE m.purpose WHEN 'disputes_held' THEN m.debit_minor ELSE 0 END) AS disputes_held_minor
FROM ledger_movement AS m
WHERE m.merchant IS NOT NULL
GROUP BY m.ledger, m.book_day, m.corridor, m.currency, m.merchant;

-- From what is at Stripe over what is on its way to what is at the bank, at the end of each day.
CREATE OR REPLACE VIEW ledger_payout_bridge AS
SELECT
    d.ledger,
    d.book_day,
    d.corridor,
    d.currency,
    sum(d.at_stripe) OVER running AS at_stripe_minor,
    sum(d.in_transit) OVER running AS in_transit_minor,
    sum(d.at_bank) OVER running AS at_bank_minor
FROM (
    SELECT
        m.ledger,
        m.book_day,
        m.corridor,
        m.currency,
        sum(CASE WHEN m.purpose LIKE 'stripe/%' THEN m.debit_minor ELSE 0 END) AS at_stripe,
        sum(CASE m.purpose WHEN 'payouts_in_transit' THEN m.debit_minor ELSE 0 END) AS in_transit,
        sum(CASE m.purpose WHEN 'bank' THEN m.debit_minor ELSE 0 END) AS at_bank
    FROM ledger_movement AS m
    GROUP BY m.ledger, m.book_day, m.corridor, m.currency
) AS d
WINDOW running AS (PARTITION BY d.ledger, d.corridor, d.currency ORDER BY d.book_day);

-- How old the newest rows are, and of when.
CREATE OR REPLACE VIEW ledger_freshness AS
SELECT
    l.ledger,
    max(l.through_sequence) AS through_sequence,
    max(l.moment) AS moment,
    max(l.load_time) AS load_time
FROM ledger_load AS l
GROUP BY l.ledger;
