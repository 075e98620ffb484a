-- Comparisons with what automatic payouts contain, and with what a balance is made of. Rows from before were checked
-- by fewer.
ALTER TABLE report_check DROP CONSTRAINT report_check_kind_check;
ALTER TABLE report_check ADD CONSTRAINT report_check_kind_check
CHECK (kind IN ('ACTIVITY', 'PAYOUTS', 'SUMMARY', 'PAYOUT_CONTENTS', 'ENDING_BALANCE')) NOT VALID;
