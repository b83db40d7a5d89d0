-- Where the custom-field values of an overlaid exhibit were before: {segment_id, byte_offset, byte_length}, or 'null' when it had none. A
-- rollback points there again.
ALTER TABLE exchange_exhibit ADD COLUMN fields_before jsonb;
