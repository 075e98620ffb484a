-- What the platform took of a destination charge when it was captured, in the payment's currency;
-- NULL where that is not known, or there is no fee. And what refunds have taken back of the fee and of
-- the transfer, in the currencies that these settled in, as Stripe told it last.
ALTER TABLE payment
ADD COLUMN application_fee_captured_minor bigint CHECK (application_fee_captured_minor >= 0),
ADD COLUMN application_fee_refunded_minor bigint NOT NULL DEFAULT 0
CHECK (application_fee_refunded_minor >= 0),
ADD COLUMN application_fee_refunded_currency text NOT NULL DEFAULT '',
ADD COLUMN transfer_reversed_minor bigint NOT NULL DEFAULT 0 CHECK (transfer_reversed_minor >= 0),
ADD COLUMN transfer_reversed_currency text NOT NULL DEFAULT '';

-- What a refund of a destination charge was to take back; NULL where there is nothing of the kind, or
-- it is not known.
ALTER TABLE payment_refund
ADD COLUMN reverse_transfer boolean,
ADD COLUMN refund_application_fee boolean;
