-- The ledger of the exchanges that came into this case.
--
-- 1. An item's end in a stage is written in the transaction of its effect, by a change from 'pending': whatever is delivered twice
--    finds the item ended and has no second effect.
-- 2. Ids without a suffix are those of this case; `source_` those of the case it came from.
create table exchange_exhibit (
  job_id uuid not null,
  source_exhibit_id bigint not null,
  source_document_id bigint not null,
  -- Order of the selection: by control number, families together.
  ordinal bigint not null,
  source_control_number text not null,
  -- Batch and key under which the source's objects lie.
  source_batch_id bigint not null,
  source_document_key text not null,
  -- What it is called here.
  control_number text,
  document_key text,
  exhibit_id bigint,
  document_id bigint,
  -- selected: not copied yet; inserted, overlaid: copied; skipped: an exhibit with its number was here; duplicate: a document with its hash was; missing: it
  -- was gone from the source when it was its turn.
  action text not null default 'selected' check (action in ('selected', 'inserted', 'overlaid', 'skipped', 'duplicate', 'missing')),
  -- Travels because a member of its family was selected.
  by_family boolean not null default false,
  primary key (job_id, source_exhibit_id)
);
create unique index exchange_exhibit_here on exchange_exhibit (job_id, exhibit_id) where exhibit_id is not null;
create index exchange_exhibit_order on exchange_exhibit (job_id, ordinal);

create table exchange_item (
  job_id uuid not null,
  stage text not null,
  exhibit_id bigint not null,
  state text not null default 'pending' check (state in ('pending', 'done', 'failed', 'skipped')),
  attempts int not null default 0,
  -- Objects with size and hash, counts of annotations, and the like.
  detail jsonb,
  code text,
  reason text,
  dead_letter_id text,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (job_id, stage, exhibit_id)
);
create index exchange_item_pending on exchange_item (job_id, stage, exhibit_id) where state = 'pending';
create index exchange_item_failed on exchange_item (job_id, stage, exhibit_id) where state = 'failed';
create index exchange_item_exhibit on exchange_item (job_id, exhibit_id);
