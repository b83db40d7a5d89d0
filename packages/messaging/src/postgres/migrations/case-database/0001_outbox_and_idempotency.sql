-- What handlers write in their own transactions, so in every database that holds what they change: events to be relayed after the commit, and
-- the keys of effects that have been made.
--
-- Callers may be roles that own nothing, so both are reached through functions that run as their owner.
create schema if not exists messaging;

create table messaging.outbox (
  outbox_id bigint generated always as identity primary key,
  -- An event for a topic, or a message for a queue.
  kind text not null check (kind in ('event', 'message')),
  destination text not null,
  fairness_key bigint not null,
  delay_ms bigint not null,
  body text not null,
  -- Who signed in to write it: what a case's role sends can be told from what the server sends.
  written_by name not null default session_user,
  written_at timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

create table messaging.effect (
  -- Who signed in to make it. A role sees its own keys alone: that of one case can neither read nor rule out another's effects.
  made_by name not null default session_user,
  effect_key text not null,
  fencing_token bigint not null,
  -- [value], or [] for nothing; null when the effect was ruled out because what it belongs to has been undone. While the effect's own
  -- transaction runs nobody else sees the row.
  result jsonb,
  made_at timestamptz not null default clock_timestamp(),
  primary key (made_by, effect_key)
);
create index effect_age on messaging.effect (made_at);

create function messaging.append_outbox(p_kind text, p_destination text, p_keys bigint[], p_delays_ms bigint[], p_bodies text[]) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into messaging.outbox (kind, destination, fairness_key, delay_ms, body)
  select p_kind, p_destination, key, delay_ms, body
  from unnest(p_keys, p_delays_ms, p_bodies) with ordinality as u (key, delay_ms, body, ord) order by ord
$$;

-- Claims a key for the caller's transaction. Waits for another transaction that holds the claim. fresh: the caller is to make the effect;
-- else the recorded token and result are answered.
create function messaging.claim_effect(p_key text, p_token bigint, p_rule_out boolean, out fresh boolean, out fencing_token bigint, out result jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into messaging.effect (effect_key, fencing_token, result) values (p_key, p_token, case when p_rule_out then null else jsonb '[]' end)
  on conflict do nothing;
  fresh := found;
  if not fresh then
    select e.fencing_token, e.result into fencing_token, result from messaging.effect e
    where e.made_by = session_user and e.effect_key = p_key;
  end if;
end $$;

create function messaging.record_effect(p_key text, p_token bigint, p_result text) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update messaging.effect set result = p_result::jsonb where made_by = session_user and effect_key = p_key and fencing_token = p_token
$$;

grant usage on schema messaging to public;
revoke all on all functions in schema messaging from public;
grant execute on function messaging.append_outbox(text, text, bigint[], bigint[], text[]), messaging.claim_effect(text, bigint, boolean), messaging.record_effect(text, bigint, text) to public;
