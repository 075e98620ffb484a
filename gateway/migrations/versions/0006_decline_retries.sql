-- Payments that are tried again after a decline, that save their payment method, and whose customer
-- comes back to authenticate.
ALTER TABLE payment
ADD COLUMN save_payment_method boolean NOT NULL DEFAULT FALSE,
ADD COLUMN decline_retry jsonb,
ADD COLUMN decline_count integer NOT NULL DEFAULT 0,
ADD COLUMN customer_returned boolean NOT NULL DEFAULT FALSE,
ADD CHECK (decline_count >= 0),
ADD CHECK (decline_retry IS NULL OR off_session),
ADD CHECK (NOT customer_returned OR off_session),
DROP CONSTRAINT payment_state_check,
ADD CONSTRAINT payment_state_check CHECK (state IN (
    'RECEIVED', 'COMPLIANCE_CHECKED', 'BLOCKED', 'IN_REVIEW', 'QUEUED', 'AUTHORIZING',
    'RETRY_SCHEDULED', 'REQUIRES_ACTION', 'AUTHORIZED', 'CAPTURING', 'CANCELING', 'SUCCEEDED',
    'DECLINED', 'CANCELED', 'EXPIRED', 'FAILED'
));

ALTER TABLE payment_operation
DROP CONSTRAINT payment_operation_kind_check,
ADD CONSTRAINT payment_operation_kind_check CHECK (kind IN (
    'CHECK', 'AUTHORIZE', 'REATTEMPT', 'CONFIRM', 'CAPTURE', 'CANCEL', 'REFUND'
));

-- Each refused authorisation. The networks limit attempts per card, whatever the payment.
CREATE TABLE payment_decline (
    decline_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id text COLLATE "C" NOT NULL REFERENCES payment,
    attempt integer NOT NULL CHECK (attempt >= 1),
    corridor text NOT NULL,
    payment_method text NOT NULL,
    -- Stripe's fingerprint of the card number; empty where it tells none.
    card_fingerprint text NOT NULL,
    charge_id text NOT NULL,
    decline jsonb NOT NULL,
    decline_time timestamptz NOT NULL,
    UNIQUE (payment_id, attempt)
);

CREATE INDEX payment_decline_card ON payment_decline (card_fingerprint, decline_time)
WHERE card_fingerprint <> '';
CREATE INDEX payment_decline_token ON payment_decline (payment_method, decline_time);

GRANT SELECT, INSERT ON payment_decline TO gateway_service;
