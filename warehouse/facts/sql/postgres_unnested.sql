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
