-- A start looks for what was begun and never ended. The audit table only grows, so it begins after the rows of
-- which it is known that each has its outcome.
CREATE TABLE settled (audit INTEGER NOT NULL);
INSERT INTO settled (audit) VALUES (0);

CREATE INDEX svid_unsigned ON svid (replica) WHERE certificate IS NULL;
