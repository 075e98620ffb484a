-- Items that adjust what is at the bank, beside payouts. Rows from before were checked by a list without them.
ALTER TABLE item DROP CONSTRAINT item_source_check;
ALTER TABLE item ADD CONSTRAINT item_source_check
CHECK (source IN ('LEDGER', 'STRIPE', 'PAYOUT', 'BANK', 'ADJUSTMENT')) NOT VALID;
