ALTER TABLE difference
ALTER COLUMN leg DROP NOT NULL,
-- What a condition is of: a statement, a feed, a day. Empty where a difference is of items of a leg.
ADD COLUMN subject text COLLATE "C" NOT NULL DEFAULT '',
ADD CONSTRAINT difference_is_of_items_or_of_a_subject CHECK ((leg IS NULL) = (subject <> ''));
CREATE INDEX difference_by_subject ON difference (kind, corridor, subject) WHERE subject <> '';

ALTER TABLE change
DROP CONSTRAINT change_cause_check,
-- A condition has come to hold, or holds no more.
ADD CONSTRAINT change_cause_check CHECK (cause IN ('RUN', 'PERSON', 'CONDITION'));

-- Who accepts a condition as it is, and the second one who agrees.
CREATE TABLE acceptance_step (
    difference_id bigint NOT NULL REFERENCES difference (difference_id),
    step smallint NOT NULL CHECK (step IN (1, 2)),
    client text NOT NULL CHECK (client <> ''),
    note text NOT NULL CHECK (note <> ''),
    change_number bigint NOT NULL,
    PRIMARY KEY (difference_id, step),
    -- Two people.
    UNIQUE (difference_id, client)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON acceptance_step
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE acceptance_step ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT, INSERT ON acceptance_step TO reconciliation_service;
