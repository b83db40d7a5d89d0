-- What reconciliation found and could not put right.
CREATE TABLE custom_field_incident (
  incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text NOT NULL,
  -- 0: not about one exhibit.
  exhibit_id  bigint NOT NULL,
  detail      text NOT NULL,
  found_at    timestamptz NOT NULL DEFAULT now(),
  -- Found again: the row is kept, and this moves on.
  seen_at     timestamptz NOT NULL DEFAULT now(),
  UNIQUE (kind, exhibit_id)
);
