-- An import whose message died is `failed` and nothing of it is undone: the state it stood in, until it is carried on or cancelled.
ALTER TABLE import_job ADD COLUMN stopped_in text, ADD COLUMN stopped_code text, ADD COLUMN stopped_reason text;
-- Who asked that it be undone.
ALTER TABLE import_job ADD COLUMN cancelled_by jsonb;
