-- What handlers write in their own transactions, so in every database that holds what they change: events to be relayed after the commit, and
-- the keys of effects that have been made.
--
-- Callers may be roles that own nothing, so both are reached through functions that run as their owner.
create schema if not exists messaging;

create table messaging.outbox (
  outbox_id bigint generated always as identity primary key,
  topic text not null,
  delay_ms bigint not null default 0,
  envelope jsonb not null,
  written_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

create table messaging.effect (
  effect_key text primary key,
  fencing_token bigint not null,
  -- Null while the effect's own transaction runs; nobody else sees the row then.
  result jsonb,
  made_at timestamptz not null default clock_timestamp()
);
create index effect_age on messaging.effect (made_at);

create function messaging.append_outbox(p_topic text, p_delays_ms bigint[], p_envelopes text[]) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into messaging.outbox (topic, delay_ms, envelope)
  select p_topic, delay_ms, envelope::jsonb from unnest(p_delays_ms, p_envelopes) with ordinality as u (delay_ms, envelope, ord) order by ord
$$;

-- Claims a key for the caller's transaction. Waits for another transaction that holds the claim. fresh: the caller is to make the effect;
-- else the recorded token and result are answered.
create function messaging.claim_effect(p_key text, p_token bigint, out fresh boolean, out fencing_token bigint, out result jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into messaging.effect (effect_key, fencing_token) values (p_key, p_token) on conflict do nothing;
  fresh := found;
  if not fresh then
    select e.fencing_token, e.result into fencing_token, result from messaging.effect e where e.effect_key = p_key;
  end if;
end $$;

create function messaging.record_effect(p_key text, p_token bigint, p_result text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update messaging.effect set result = p_result::jsonb where effect_key = p_key and fencing_token = p_token
$$;

grant usage on schema messaging to public;
revoke all on all functions in schema messaging from public;
grant execute on function messaging.append_outbox(text, bigint[], text[]), messaging.claim_effect(text, bigint), messaging.record_effect(text, bigint, text) to public;
