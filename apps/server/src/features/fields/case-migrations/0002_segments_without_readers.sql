-- Segments that no pointer leads to, on their way out: seen by a sweep at `orphaned_at`, given up (`doomed`) a grace period later, when
-- nobody can still be reading by an old pointer. A key that is doomed cannot be pointed at again, so that its object can be deleted.
ALTER TABLE custom_field_segment ADD COLUMN orphaned_at timestamptz, ADD COLUMN doomed boolean NOT NULL DEFAULT false;
CREATE INDEX custom_field_segment_small ON custom_field_segment (segment_id) WHERE exhibits = 1;
