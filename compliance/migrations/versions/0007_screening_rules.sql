-- What was screened before is screened again by the loop, since its rules are older than the code's.
ALTER TABLE screening
ADD COLUMN rules_version smallint NOT NULL DEFAULT 1,
ADD COLUMN is_comparable boolean NOT NULL DEFAULT TRUE;

-- How much of each kind a list's files held: {"alt.csv rows": 11910}. Empty for versions of before.
ALTER TABLE list_version
ADD COLUMN quantities jsonb NOT NULL DEFAULT '{}';
