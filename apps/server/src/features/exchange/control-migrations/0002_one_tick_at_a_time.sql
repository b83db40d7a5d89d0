-- Grows with every wait. The message that ends a wait names it, and one that names an older wait is passed over: a job has one clock, however
-- many messages have woken it meanwhile.
alter table exchange.job add column tick bigint not null default 0;
