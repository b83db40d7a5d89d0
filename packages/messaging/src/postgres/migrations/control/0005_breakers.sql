-- What each process last said of its circuit breakers. A process that is gone is removed after a day of silence.
create table messaging.breaker (
  name text not null,
  worker text not null,
  state text not null check (state in ('closed', 'open', 'half_open')),
  consecutive_failures int not null,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (name, worker)
);
