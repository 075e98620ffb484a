-- Lets nothing be written to a ledger, or lets it again; and no record time be at or before a moment.
UPDATE ledger_heads AS h
SET fenced = %(fenced)s, closed_time = greatest(h.closed_time, %(closed_time)s::timestamptz)
FROM ledgers AS l
WHERE l.name = %(name)s AND l.ledger_id = h.ledger_id
