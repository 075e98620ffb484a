-- Where compliance wants people to look, such a payment ends.
ALTER TABLE payment
ADD COLUMN fails_in_review boolean NOT NULL DEFAULT FALSE;
