-- What somebody is about to change on an exhibit's document, written before the document engine is asked. It goes with the audit row that
-- states the change; one that stays belongs to a process that died, and the next call settles it.
CREATE TABLE annotation_intent (
  intent_id   uuid PRIMARY KEY,
  exhibit_id  bigint NOT NULL,
  actor       text NOT NULL,
  request_id  text,
  -- Whether the exhibit's mark as redacted may change with it.
  redactions  boolean NOT NULL,
  -- What is changed: ids, kinds, pages, versions and digests, no text.
  entries     jsonb NOT NULL,
  -- A comment that is being changed: by one change at a time. Its new form, for the engine has no change of comments in one step.
  comment_id  text,
  comment     jsonb,
  planned_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (exhibit_id, comment_id)
);
CREATE INDEX annotation_intent_exhibit ON annotation_intent (exhibit_id, planned_at);

-- What decides about an exhibit's mark as redacted.
CREATE TABLE annotation_mark (
  exhibit_id  bigint PRIMARY KEY,
  -- Moves on with each settled change: who looked at the redactions before it did looks again.
  revision    bigint NOT NULL DEFAULT 0,
  -- The exhibit stays marked without redaction annotations: it came marked, or its redactions were applied.
  keeps_mark  boolean NOT NULL
);
