-- Lists within rows as rows of their own. Whole numbers are text in JSON, so none is rounded.
CREATE OR REPLACE VIEW balance_transaction_fee AS
SELECT
    t.corridor,
    t.balance_transaction_id,
    f.fee ->> 'type' AS type,
    f.fee ->> 'application_id' AS application_id,
    f.fee ->> 'currency' AS currency,
    (f.fee ->> 'amount_minor')::bigint AS amount_minor
FROM balance_transaction AS t, jsonb_array_elements(t.fee_details::jsonb) AS f (fee);

CREATE OR REPLACE VIEW break_amount AS
SELECT
    b.break_id,
    a.amount ->> 'currency' AS currency,
    (a.amount ->> 'amount_minor')::bigint AS amount_minor
FROM reconciliation_break AS b, jsonb_array_elements(b.amounts::jsonb) AS a (amount);

CREATE OR REPLACE VIEW break_item AS
SELECT
    b.break_id,
    i.item ->> 'source' AS source,
    i.item ->> 'corridor' AS corridor,
    i.item ->> 'key' AS key
FROM reconciliation_break AS b, jsonb_array_elements(b.items::jsonb) AS i (item);

CREATE OR REPLACE VIEW match_allocation AS
SELECT
    m.match_id,
    m.leg,
    m.revoke_time,
    a.item ->> 'source' AS source,
    a.item ->> 'corridor' AS corridor,
    a.item ->> 'key' AS key,
    a.item ->> 'currency' AS currency,
    (a.item ->> 'amount_minor')::bigint AS amount_minor
FROM reconciliation_match AS m, jsonb_array_elements(m.allocations::jsonb) AS a (item);

CREATE OR REPLACE VIEW decision_reason AS
SELECT
    d.sequence,
    d.decision_id,
    r.reason ->> 'code' AS code,
    r.reason ->> 'verdict' AS verdict,
    (r.reason ->> 'approved')::boolean AS approved
FROM decision AS d, jsonb_array_elements(d.reasons::jsonb) AS r (reason);

-- Items of each version of a subscription, with what of them is a month's: a year is 12 months, a week 12/52 of a month
-- and a day 12/365, rounded once, half a minor unit up.
CREATE OR REPLACE VIEW subscription_item_history AS
SELECT
    n.corridor,
    n.subscription_id,
    n.epoch,
    n.sequence,
    n.item ->> 'id' AS item_id,
    n.item ->> 'price_id' AS price_id,
    n.item ->> 'product_id' AS product_id,
    n.item ->> 'period_unit' AS period_unit,
    n.period_count,
    (n.item ->> 'quantity')::bigint AS quantity,
    n.item ->> 'usage_type' AS usage_type,
    n.currency,
    n.amount_minor,
    CASE n.item ->> 'period_unit'
        WHEN 'month' THEN (2 * n.amount_minor + n.period_count) / (2 * n.period_count)
        WHEN 'year' THEN (2 * n.amount_minor + 12 * n.period_count) / (24 * n.period_count)
        WHEN 'week' THEN (26 * n.amount_minor + 3 * n.period_count) / (6 * n.period_count)
        WHEN 'day' THEN (730 * n.amount_minor + 12 * n.period_count) / (24 * n.period_count)
    END AS monthly_minor
FROM (
    SELECT
        h.corridor,
        h.subscription_id,
        h.epoch,
        h.sequence,
        h.currency,
        u.item,
        (u.item ->> 'period_count')::bigint AS period_count,
        (u.item ->> 'amount_minor')::bigint AS amount_minor
    FROM subscription_history AS h, jsonb_array_elements(h.items::jsonb) AS u (item)
) AS n;

-- Months of UTC from the first subscription to this one, which has lasted until now.
CREATE OR REPLACE VIEW billing_month AS
SELECT
    m.begin_time::date AS book_month,
    least((m.begin_time + interval '1 month') AT TIME ZONE 'UTC', now()) AS until_time
FROM
    (SELECT min(start_time) AS first_time FROM subscription) AS s,
    generate_series(
        date_trunc('month', s.first_time AT TIME ZONE 'UTC'),
        date_trunc('month', now() AT TIME ZONE 'UTC'),
        interval '1 month'
    ) AS m (begin_time);
