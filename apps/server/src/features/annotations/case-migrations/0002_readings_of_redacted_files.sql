-- Whoever records the file that redaction left takes a number before reading it from the engine. A greater number has read what is at least as
-- new, so nobody records after one: a process that was held up does not put an older file in the place of a newer one.
ALTER TABLE annotation_mark ADD COLUMN last_reading bigint NOT NULL DEFAULT 0, ADD COLUMN recorded_reading bigint NOT NULL DEFAULT 0;
