-- Every payment so far is of a card.
ALTER TABLE payment
ADD COLUMN payment_method_type text NOT NULL DEFAULT 'CARD',
ADD COLUMN mandate_acceptance jsonb;
