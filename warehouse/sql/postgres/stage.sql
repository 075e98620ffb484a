-- Where leaves are copied to, a line each.
CREATE TEMP TABLE staged_text (leaf text NOT NULL) ON COMMIT DROP;
