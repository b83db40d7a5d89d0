-- Topics, subscriptions and the log of published events.
--
-- A publisher holds a shared advisory lock on the topic until it commits; subscribe and unsubscribe hold it exclusively. So when unsubscribe
-- has returned, no publisher can still deliver to the queue.
create table messaging.topic (
  topic_id int generated always as identity primary key,
  name text not null unique,
  -- Grows with every change of its subscriptions, so that publishers can keep them in memory and know when to read them again.
  version bigint not null default 1
);

create table messaging.subscription (
  topic_id int not null,
  queue_id int not null,
  filter_policy jsonb not null,
  primary key (topic_id, queue_id)
);
create index subscription_queue on messaging.subscription (queue_id);

create table messaging.event_log (
  event_seq bigint generated always as identity primary key,
  -- The writing transaction: a reader stays behind the oldest one that runs, so that it never passes an event that commits late.
  xid xid8 not null default pg_current_xact_id(),
  topic text not null,
  event_id uuid not null,
  event_type text not null,
  published_at timestamptz not null default clock_timestamp(),
  envelope jsonb not null
);
create index event_log_age on messaging.event_log (published_at);

create function messaging.subscribe(p_topic text, p_queue text, p_policy jsonb) returns void language plpgsql as $$
declare
  v_topic_id int;
  v_queue_id int;
begin
  insert into messaging.topic (name) values (p_topic) on conflict (name) do nothing;
  select topic_id into v_topic_id from messaging.topic where name = p_topic;
  perform pg_advisory_xact_lock(1128350532, v_topic_id);
  select queue_id into v_queue_id from messaging.queue where name = p_queue for share;
  if not found then
    raise exception 'There is no queue of this name.' using errcode = 'CB404';
  end if;
  insert into messaging.subscription as s values (v_topic_id, v_queue_id, p_policy)
  on conflict (topic_id, queue_id) do update set filter_policy = excluded.filter_policy;
  update messaging.topic set version = version + 1 where topic_id = v_topic_id;
end $$;

create function messaging.unsubscribe(p_topic text, p_queue text) returns boolean language plpgsql as $$
declare
  v_topic_id int;
  v_removed boolean;
begin
  select topic_id into v_topic_id from messaging.topic where name = p_topic;
  if not found then return false; end if;
  perform pg_advisory_xact_lock(1128350532, v_topic_id);
  delete from messaging.subscription s using messaging.queue q
  where s.topic_id = v_topic_id and s.queue_id = q.queue_id and q.name = p_queue;
  v_removed := found;
  update messaging.topic set version = version + 1 where topic_id = v_topic_id;
  return v_removed;
end $$;

-- Delivers copies of a batch of events: delivery i puts event p_event_of[i] into p_queue_ids[i]. Answers false, having done nothing, when
-- the subscriptions have changed since p_version was read. A queue that was deleted meanwhile gets nothing.
create function messaging.publish(
  p_topic text, p_version bigint, p_event_of int[], p_queue_ids int[], p_keys bigint[], p_delays_ms bigint[], p_bodies text[], p_attributes text[],
  p_log_ids uuid[], p_log_types text[], p_log_bodies text[]
) returns boolean language plpgsql set plan_cache_mode = force_generic_plan set jit = off as $$
declare
  v_topic_id int;
  v_now timestamptz;
begin
  insert into messaging.topic (name) select p_topic where not exists (select from messaging.topic where name = p_topic) on conflict (name) do nothing;
  select topic_id into v_topic_id from messaging.topic where name = p_topic;
  perform pg_advisory_xact_lock_shared(1128350532, v_topic_id);
  perform 1 from messaging.topic where topic_id = v_topic_id and version = p_version;
  if not found then return false; end if;
  perform messaging.lock_queue_shared(q) from (select distinct q from unnest(p_queue_ids) as q order by q) as t;
  v_now := clock_timestamp();
  insert into messaging.message (queue_id, fairness_key, visible_at, sent_at, body, attributes)
  select d.queue_id, p_keys[d.event], v_now + p_delays_ms[d.event] * interval '1 millisecond', v_now, p_bodies[d.event], p_attributes[d.event]::jsonb
  from unnest(p_event_of, p_queue_ids) with ordinality as d (event, queue_id, ord)
  where exists (select from messaging.queue q where q.queue_id = d.queue_id)
  order by d.ord;
  insert into messaging.event_log (topic, event_id, event_type, envelope)
  select p_topic, id, type, body::jsonb from unnest(p_log_ids, p_log_types, p_log_bodies) with ordinality as l (id, type, body, ord) order by ord;
  return true;
end $$;
