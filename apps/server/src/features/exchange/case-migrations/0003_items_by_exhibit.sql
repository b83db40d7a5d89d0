-- An item is found by its exhibit, alone or with a stage: one index for both, where each end of an item wrote three.
DROP INDEX exchange_item_exhibit;
ALTER TABLE exchange_item DROP CONSTRAINT exchange_item_pkey;
ALTER TABLE exchange_item ADD PRIMARY KEY (job_id, exhibit_id, stage);
