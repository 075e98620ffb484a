-- The entries of the staged transactions as rows.
INSERT INTO ledger_entry (
    ledger, sequence, entry_index, account, currency, direction, effect, amount_minor, description, source_entry,
    record_time, effective_time
)
SELECT
    s.ledger,
    s.sequence,
    e.place - 1,
    e.entry ->> 'account',
    e.entry ->> 'currency',
    e.entry ->> 'direction',
    e.entry ->> 'effect',
    (e.entry ->> 'amount')::bigint,
    e.entry ->> 'description',
    (e.entry ->> 'source_entry')::integer,
    (s.content ->> 'record_time')::timestamptz,
    (s.content ->> 'effective_time')::timestamptz
FROM
    staged_leaf AS s,
    jsonb_array_elements(s.content -> 'entries') WITH ORDINALITY AS e (entry, place)
ORDER BY s.sequence, e.place;
