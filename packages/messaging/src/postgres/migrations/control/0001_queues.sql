-- Queues, messages and dead letters.
--
-- 1. A message may be received when visible_at has passed. A delay, a lease and a retry are all a visible_at in the future, so an expired
--    lease needs no sweeper: the message is simply visible again.
-- 2. Every transition of a received message names (message_id, lease_token, worker) and changes nothing when any of them is no longer so.
--    lease_token grows by one with each receive and each release; it never repeats for a message.
-- 3. All times are the database's own (clock_timestamp): the clocks of workers do not matter.
-- 4. Receiving commits asynchronously: a lease lost in a crash of the server is a message that is visible again. Sending and every change that
--    ends a message commit as the server is set to.
-- 5. A sender holds a shared advisory lock on the queue until it commits; deletion holds it exclusively. So a queue that was found empty
--    under that lock has no message underway.
create schema if not exists messaging;

create table messaging.queue (
  queue_id int generated always as identity primary key,
  name text not null unique,
  visibility_timeout_ms bigint not null check (visibility_timeout_ms > 0),
  max_receive_count int not null check (max_receive_count > 0),
  -- Why fewer than five receives are allowed; null when five or more are.
  max_receive_reason text,
  -- Nothing is received from a paused queue, by whatever process.
  paused boolean not null default false,
  created_at timestamptz not null default clock_timestamp()
);

create table messaging.message (
  message_id bigint generated always as identity,
  queue_id int not null,
  -- The tenant whose share the message takes; 0 for none.
  fairness_key bigint not null check (fairness_key >= 0),
  visible_at timestamptz not null,
  sent_at timestamptz not null,
  lease_token bigint not null default 0,
  receive_count int not null default 0,
  -- Who holds, or last held, the lease; null when it was given back.
  worker text,
  received_at timestamptz,
  body text not null,
  attributes jsonb,
  -- Attempts that failed, oldest first: [{attempt, at, worker, outcome, code, error}].
  history jsonb,
  primary key (message_id)
) with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 20000,
  autovacuum_vacuum_insert_scale_factor = 0.2,
  autovacuum_vacuum_cost_delay = 0
);

-- A lane is (queue_id, fairness_key). Within it messages are taken in the order in which they become visible.
create index message_lane on messaging.message (queue_id, fairness_key, visible_at);
-- Few rows at any time: what workers hold.
create index message_in_flight on messaging.message (fairness_key, queue_id) where worker is not null;

create table messaging.dedupe (
  queue_id int not null,
  dedupe_key text not null,
  expires_at timestamptz not null,
  primary key (queue_id, dedupe_key)
);
create index dedupe_expiry on messaging.dedupe (expires_at);

create table messaging.dead_letter (
  dead_letter_id bigint generated always as identity primary key,
  queue_name text not null,
  message_id text not null,
  fairness_key bigint not null,
  died_at timestamptz not null default clock_timestamp(),
  sent_at timestamptz not null,
  receive_count int not null,
  code text not null,
  reason text not null,
  body text not null,
  attributes jsonb,
  history jsonb not null,
  -- When the error event was published; null until then. The dead letter is its own outbox.
  announced_at timestamptz
);
create index dead_letter_queue on messaging.dead_letter (queue_name, dead_letter_id);
create index dead_letter_unannounced on messaging.dead_letter (dead_letter_id) where announced_at is null;

create function messaging.lock_queue_shared(p_queue_id int) returns void language sql as
$$ select pg_advisory_xact_lock_shared(1128350530, p_queue_id) $$;

create function messaging.lock_queue_exclusive(p_queue_id int) returns void language sql as
$$ select pg_advisory_xact_lock(1128350530, p_queue_id) $$;

-- Sends to one queue; answers one id per message in order, null where a message with the same dedupe key was sent within the window.
-- Raises CB404 when there is no such queue.
create function messaging.send(
  p_queue text, p_keys bigint[], p_delays_ms bigint[], p_bodies text[], p_attributes text[], p_dedupe_keys text[], p_dedupe_ms bigint
) returns bigint[] language plpgsql set plan_cache_mode = force_generic_plan set jit = off as $$
declare
  v_queue_id int;
  v_now timestamptz;
  v_fresh boolean[];
  v_ids bigint[];
begin
  select queue_id into v_queue_id from messaging.queue where name = p_queue;
  if v_queue_id is not null then
    perform messaging.lock_queue_shared(v_queue_id);
    perform 1 from messaging.queue where queue_id = v_queue_id;
  end if;
  if v_queue_id is null or not found then
    raise exception 'There is no queue of this name.' using errcode = 'CB404';
  end if;
  v_now := clock_timestamp();
  if p_dedupe_keys is not null then
    -- Claimed key by key in one order, so that two senders of the same keys wait for each other instead of deadlocking.
    with wanted as (
      select distinct on (k) k, ord from unnest(p_dedupe_keys) with ordinality as u (k, ord) where k is not null order by k, ord
    ), claimed as (
      insert into messaging.dedupe as d (queue_id, dedupe_key, expires_at)
      select v_queue_id, k, v_now + p_dedupe_ms * interval '1 millisecond' from wanted order by k
      on conflict (queue_id, dedupe_key) do update set expires_at = excluded.expires_at where d.expires_at <= v_now
      returning dedupe_key
    )
    select array_agg(u.k is null or (c.dedupe_key is not null and w.ord = u.ord) order by u.ord) into v_fresh
    from unnest(p_dedupe_keys) with ordinality as u (k, ord)
    left join wanted w on w.k = u.k
    left join claimed c on c.dedupe_key = u.k;
  end if;
  with numbered as materialized (
    select ord, key, delay_ms, body, attributes from unnest(p_keys, p_delays_ms, p_bodies, p_attributes) with ordinality as u (key, delay_ms, body, attributes, ord)
    where v_fresh is null or v_fresh[ord]
  ), inserted as (
    insert into messaging.message (queue_id, fairness_key, visible_at, sent_at, body, attributes)
    select v_queue_id, key, v_now + delay_ms * interval '1 millisecond', v_now, body, attributes::jsonb from numbered order by ord
    returning message_id
  )
  select array_agg(message_id order by message_id) into v_ids from inserted;
  if v_fresh is null then return v_ids; end if;
  return (select array_agg(case when fresh then v_ids[n] end order by ord)
          from (select ord, fresh, sum(fresh::int) over (order by ord) as n from unnest(v_fresh) with ordinality as f (fresh, ord)) as t);
end $$;

-- The history entry of an attempt that never reported: its worker died, hung or lost the database. Empty when the last one did report.
create function messaging.silent_attempt(p_worker text, p_attempt int, p_received_at timestamptz, p_now timestamptz) returns jsonb
language sql immutable as $$
  select case when p_worker is null then '[]'::jsonb else jsonb_build_array(jsonb_build_object(
    'attempt', p_attempt, 'at', to_char(p_received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'worker', p_worker, 'outcome', 'lease_expired',
    'code', 'lease_lost', 'error', 'The worker did not report before its lease ran out; it was killed, hung or cut off.')) end
$$;

-- Moves messages that the caller has locked to the dead letters.
create function messaging.bury(p_rows tid[], p_code text, p_reason text, p_now timestamptz) returns void
language sql as $$
  with dead as (
    delete from messaging.message where ctid = any (p_rows)
    returning queue_id, message_id, fairness_key, sent_at, receive_count, worker, received_at, body, attributes, history
  )
  insert into messaging.dead_letter (queue_name, message_id, fairness_key, died_at, sent_at, receive_count, code, reason, body, attributes, history)
  select q.name, d.message_id::text, d.fairness_key, p_now, d.sent_at, d.receive_count, p_code, p_reason, d.body, d.attributes,
         coalesce(d.history, '[]') || messaging.silent_attempt(d.worker, d.receive_count, d.received_at, p_now)
  from dead d join messaging.queue q using (queue_id)
$$;

-- Lanes of the named queues with a visible message, with the oldest visible_at of each; of each queue at most p_limit, looking from the key
-- p_from upwards and then from the start, so that a caller who moves p_from sees all in turn. A loose index scan: its cost grows with the
-- lanes that exist, not with the messages in them.
create function messaging.lanes(p_names text[], p_from bigint, p_limit int)
returns table (queue_name text, queue_id int, fairness_key bigint, oldest timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_oldest timestamptz;
  v_key bigint;
  v_now timestamptz := clock_timestamp();
  v_found int;
  v_wrapped boolean;
begin
  for queue_name, queue_id in select q.name, q.queue_id from unnest(p_names) as n join messaging.queue q on q.name = n where not q.paused loop
    v_found := 0;
    v_wrapped := false;
    v_key := p_from - 1;
    loop
      select m.fairness_key, m.visible_at into v_key, v_oldest from messaging.message m
      where m.queue_id = lanes.queue_id and m.fairness_key > v_key order by m.fairness_key, m.visible_at limit 1;
      if v_key is null then
        exit when v_wrapped or p_from <= 0;
        v_wrapped := true;
        v_key := -1;
        continue;
      end if;
      exit when v_wrapped and v_key >= p_from;
      if v_oldest <= v_now then
        fairness_key := v_key; oldest := v_oldest;
        return next;
        v_found := v_found + 1;
        exit when v_found >= p_limit;
      end if;
    end loop;
  end loop;
end $$;

-- Receives from lanes, in the order given, up to the share of each. floor: nothing older than it is looked for (-infinity: everything); it
-- spares the scan the index entries of messages that are gone but not yet vacuumed. cap: how many messages of one key may be in flight.
create function messaging.receive(
  p_queue_ids int[], p_keys bigint[], p_floors timestamptz[], p_shares int[], p_total int, p_worker text, p_cap int
) returns table (
  queue_id int, message_id bigint, lease_token bigint, receive_count int, fairness_key bigint, lane_floor timestamptz, sent_at timestamptz,
  body text, attributes jsonb, lease_ms bigint, max_receive_count int
) language plpgsql set synchronous_commit = off set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_left int := p_total;
  v_want int;
  v_held int;
  v_live tid[];
  v_dead tid[];
  v_since timestamptz;
  v_max int;
  v_lease bigint;
  v_lane int;
begin
  for v_lane in 1 .. cardinality(p_queue_ids) loop
    exit when v_left <= 0;
    select q.max_receive_count, q.visibility_timeout_ms into v_max, v_lease from messaging.queue q
    where q.queue_id = p_queue_ids[v_lane] and not q.paused;
    continue when not found;
    v_want := least(p_shares[v_lane], v_left);
    if p_cap is not null and p_keys[v_lane] <> 0 then
      perform pg_advisory_xact_lock(1128350531, hashint8(p_keys[v_lane]));
      select count(*) into v_held from (
        select from messaging.message m where m.fairness_key = p_keys[v_lane] and m.worker is not null and m.visible_at > v_now limit p_cap
      ) as held;
      v_want := least(v_want, p_cap - v_held);
    end if;
    continue when v_want <= 0;
    select array_agg(s.ctid) filter (where s.receive_count < v_max), array_agg(s.ctid) filter (where s.receive_count >= v_max), max(s.visible_at)
    into v_live, v_dead, v_since
    from (
      select m.ctid, m.receive_count, m.visible_at from messaging.message m
      where m.queue_id = p_queue_ids[v_lane] and m.fairness_key = p_keys[v_lane] and m.visible_at <= v_now and m.visible_at >= p_floors[v_lane]
      order by m.visible_at limit v_want for update skip locked
    ) as s;
    if v_dead is not null then
      perform messaging.bury(v_dead, 'receive_count_exceeded', 'Received ' || v_max || ' times without success.', v_now);
    end if;
    if v_live is not null then
      v_left := v_left - cardinality(v_live);
      return query
        update messaging.message m
        set lease_token = m.lease_token + 1, receive_count = m.receive_count + 1, worker = p_worker, received_at = v_now,
            visible_at = v_now + v_lease * interval '1 millisecond',
            history = case when m.worker is null then m.history
                           else coalesce(m.history, '[]') || messaging.silent_attempt(m.worker, m.receive_count, m.received_at, v_now) end
        where m.ctid = any (v_live)
        returning m.queue_id, m.message_id, m.lease_token, m.receive_count, m.fairness_key, v_since, m.sent_at, m.body, m.attributes, v_lease, v_max;
    end if;
  end loop;
end $$;

-- Acknowledges; answers the ids that were still held. The others had been taken over.
create function messaging.acknowledge(p_ids bigint[], p_tokens bigint[], p_worker text) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return query
    delete from messaging.message m using unnest(p_ids, p_tokens) as a (id, token)
    where m.message_id = a.id and m.lease_token = a.token and m.worker = p_worker
    returning m.message_id;
end $$;

-- Gives messages back, each with its own delay. counted = false: the attempt does not count. failure: an entry of the history, or null.
create function messaging.release(
  p_ids bigint[], p_tokens bigint[], p_worker text, p_delays_ms bigint[], p_counted boolean[], p_failures text[]
) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return query
    update messaging.message m
    set visible_at = clock_timestamp() + a.delay_ms * interval '1 millisecond',
        lease_token = m.lease_token + 1,
        receive_count = m.receive_count - case when a.counted then 0 else 1 end,
        worker = null,
        -- Releases that do not count could be many: the newest fifty entries are kept.
        history = case when a.failure is null then m.history
                       when jsonb_array_length(m.history) >= 50 then (m.history - 0) || a.failure::jsonb
                       else coalesce(m.history, '[]') || a.failure::jsonb end
    from unnest(p_ids, p_tokens, p_delays_ms, p_counted, p_failures) as a (id, token, delay_ms, counted, failure)
    where m.message_id = a.id and m.lease_token = a.token and m.worker = p_worker
    returning m.message_id;
end $$;

-- Extends leases from now; answers the ids that are still held.
create function messaging.extend(p_ids bigint[], p_tokens bigint[], p_worker text, p_timeouts_ms bigint[]) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return query
    update messaging.message m set visible_at = clock_timestamp() + a.timeout_ms * interval '1 millisecond'
    from unnest(p_ids, p_tokens, p_timeouts_ms) as a (id, token, timeout_ms)
    where m.message_id = a.id and m.lease_token = a.token and m.worker = p_worker
    returning m.message_id;
end $$;

-- Dead-letters one held message; answers the dead letter's id, or null when the lease was lost.
create function messaging.kill(p_id bigint, p_token bigint, p_worker text, p_code text, p_reason text, p_failure text) returns bigint
language sql set enable_seqscan = off as $$
  with dead as (
    delete from messaging.message where message_id = p_id and lease_token = p_token and worker = p_worker
    returning queue_id, message_id, fairness_key, sent_at, receive_count, body, attributes, history
  )
  insert into messaging.dead_letter (queue_name, message_id, fairness_key, sent_at, receive_count, code, reason, body, attributes, history)
  select q.name, d.message_id::text, d.fairness_key, d.sent_at, d.receive_count, p_code, p_reason, d.body, d.attributes,
         coalesce(d.history, '[]') || p_failure::jsonb
  from dead d join messaging.queue q using (queue_id)
  returning dead_letter_id
$$;

-- Deletes a queue with its messages; with p_only_if_empty nothing happens while a message is left or underway. Answers what happened.
create function messaging.delete_queue(p_name text, p_only_if_empty boolean) returns text language plpgsql as $$
declare
  v_queue_id int;
begin
  select queue_id into v_queue_id from messaging.queue where name = p_name;
  if not found then return 'missing'; end if;
  perform messaging.lock_queue_exclusive(v_queue_id);
  if p_only_if_empty and exists (select from messaging.message where queue_id = v_queue_id) then return 'not_empty'; end if;
  delete from messaging.message where queue_id = v_queue_id;
  delete from messaging.dedupe where queue_id = v_queue_id;
  delete from messaging.subscription where queue_id = v_queue_id;
  delete from messaging.queue where queue_id = v_queue_id;
  return case when found then 'deleted' else 'missing' end;
end $$;

-- Workers that processes are to run; every process of the role looks here.
create table messaging.worker (
  name text primary key,
  queue_name text not null,
  handler text not null,
  concurrency int not null check (concurrency > 0),
  batch_size int not null check (batch_size > 0),
  batch_window_ms bigint not null check (batch_window_ms >= 0),
  created_at timestamptz not null default clock_timestamp()
);
