-- When it happened at Stripe, which its facts are booked with; NULL until then, and in rows of before. Of a payment:
-- its capture; of a refund: that Stripe took it from its balance, and that this came back; of a payout: that its money
-- came back; of a dispute: that it was decided.
ALTER TABLE payment ADD COLUMN capture_time timestamptz;
ALTER TABLE payment_refund
ADD COLUMN take_time timestamptz,
ADD COLUMN return_time timestamptz;
ALTER TABLE payout ADD COLUMN return_time timestamptz;
ALTER TABLE dispute ADD COLUMN decide_time timestamptz;
