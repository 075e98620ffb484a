-- The entries of the staged transactions as rows.
INSERT INTO ledger_entry (
    ledger, sequence, entry_index, account, currency, direction, effect, amount_minor, description, source_entry,
    record_time, effective_time
)
SELECT
    e.ledger,
    e.sequence,
    e.entry_index,
    e.entry.account,
    e.entry.currency,
    e.entry.direction,
    e.entry.effect,
    cast(e.entry.amount AS BIGINT),
    e.entry.description,
    cast(e.entry.source_entry AS INTEGER),
    cast(e.record_time AS TIMESTAMPTZ),
    cast(e.effective_time AS TIMESTAMPTZ)
FROM (
    SELECT
        s.ledger,
        s.sequence,
        generate_subscripts(s.content.entries, 1) - 1 AS entry_index,
        unnest(s.content.entries) AS entry,
        s.content.record_time,
        s.content.effective_time
    FROM staged_leaf AS s
) AS e
ORDER BY e.sequence, e.entry_index;
