-- Reports of what automatic payouts contain, and of what a balance is made of. Rows from before were checked by fewer.
ALTER TABLE report DROP CONSTRAINT report_kind_check;
ALTER TABLE report ADD CONSTRAINT report_kind_check
CHECK (kind IN ('ACTIVITY', 'PAYOUTS', 'SUMMARY', 'PAYOUT_CONTENTS', 'ENDING_BALANCE')) NOT VALID;
