-- Values of custom fields in rows, as older cases keep them: each value once, under the SHA-256 of its field and itself, and a link from each
-- exhibit that has it. `custom_field_storage` has a row only in such a case; the switches of its way to segments are turned in order.
CREATE TABLE custom_field_storage (
  only_row            boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  parallel_write      boolean NOT NULL DEFAULT false,
  filters_from_index  boolean NOT NULL DEFAULT false,
  read_from_objects   boolean NOT NULL DEFAULT false,
  table_writes_stopped boolean NOT NULL DEFAULT false,
  -- When the present step was last found equal; null once a switch was turned since.
  verified_at         timestamptz,
  changed_at          timestamptz NOT NULL DEFAULT now(),
  CHECK (parallel_write OR NOT filters_from_index),
  CHECK (filters_from_index OR NOT read_from_objects),
  CHECK (read_from_objects OR NOT table_writes_stopped)
);

CREATE TABLE tags (
  tag_sha256 bytea PRIMARY KEY,
  title      text NOT NULL,
  -- A text, number or boolean; of several choices, one.
  value      jsonb NOT NULL
);

CREATE TABLE taggings (
  exhibit_id bigint NOT NULL,
  tag_sha256 bytea NOT NULL,
  -- Place among several choices; null for a field of one value.
  ordinal    integer,
  user_id    text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (exhibit_id, tag_sha256)
);
CREATE INDEX taggings_tag ON taggings (tag_sha256, exhibit_id);

-- What an update states that it read.
CREATE TABLE tagging_versions (
  exhibit_id bigint PRIMARY KEY,
  version    integer NOT NULL
) WITH (fillfactor = 85);

CREATE FUNCTION legacy_tags_are_read_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM custom_field_storage WHERE table_writes_stopped) THEN
    RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction', MESSAGE = 'The tables of tags are read-only: the case keeps its values in objects.';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER tags_read_only BEFORE INSERT OR UPDATE OR DELETE ON tags FOR EACH STATEMENT EXECUTE FUNCTION legacy_tags_are_read_only();
CREATE TRIGGER taggings_read_only BEFORE INSERT OR UPDATE OR DELETE ON taggings FOR EACH STATEMENT EXECUTE FUNCTION legacy_tags_are_read_only();
CREATE TRIGGER tagging_versions_read_only BEFORE INSERT OR UPDATE OR DELETE ON tagging_versions FOR EACH STATEMENT EXECUTE FUNCTION legacy_tags_are_read_only();
