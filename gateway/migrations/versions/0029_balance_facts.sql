-- A balance transaction is kept as Stripe shows it, but for its description, which is free text. Rows that an earlier
-- release has kept have none of this: NULL.
ALTER TABLE balance_transaction
ADD COLUMN amount_minor bigint,
ADD COLUMN fee_minor bigint,
-- [{"type", "currency", "amount_minor", "application_id"}]
ADD COLUMN fee_details jsonb,
ADD COLUMN reporting_category text,
-- Stripe's decimal; empty where nothing was converted.
ADD COLUMN exchange_rate text,
DROP CONSTRAINT balance_transaction_part_check,
ADD CONSTRAINT balance_transaction_part_check
CHECK (part IN ('pending', 'available', 'issuing', 'refund_and_dispute_prefunding', 'risk_reserved')) NOT VALID,
ADD CONSTRAINT balance_transaction_net_check CHECK (net_minor = amount_minor - fee_minor) NOT VALID;

ALTER TABLE balance_total
DROP CONSTRAINT balance_total_part_check,
ADD CONSTRAINT balance_total_part_check
CHECK (part IN ('pending', 'available', 'issuing', 'refund_and_dispute_prefunding', 'risk_reserved')) NOT VALID;

ALTER TABLE payment_refund
DROP CONSTRAINT payment_refund_balance_check,
ADD CONSTRAINT payment_refund_balance_check
CHECK (balance IN ('pending', 'available', 'issuing', 'refund_and_dispute_prefunding', 'risk_reserved')) NOT VALID;

-- Where a payout goes, how, and by what the bank knows it: Stripe's words and ids.
ALTER TABLE payout
ADD COLUMN stripe_create_time timestamptz,
ADD COLUMN method text NOT NULL DEFAULT '',
ADD COLUMN source_type text NOT NULL DEFAULT '',
ADD COLUMN destination_type text NOT NULL DEFAULT '',
ADD COLUMN destination_id text NOT NULL DEFAULT '',
ADD COLUMN reconciliation_status text NOT NULL DEFAULT '',
ADD COLUMN trace_id_status text NOT NULL DEFAULT '',
ADD COLUMN trace_id text NOT NULL DEFAULT '',
ADD COLUMN original_payout_id text NOT NULL DEFAULT '',
ADD COLUMN reversed_by_payout_id text NOT NULL DEFAULT '',
-- When Stripe is asked for news that no event may bring; NULL for never.
ADD COLUMN next_look_time timestamptz;

CREATE INDEX payout_to_look_at ON payout (next_look_time) WHERE next_look_time IS NOT NULL;
