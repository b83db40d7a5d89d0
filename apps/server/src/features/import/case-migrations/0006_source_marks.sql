-- What the file of a loose document was when its content was judged: its bytes are read again when they are stored.
ALTER TABLE import_row ADD COLUMN source_mark text;
