-- How often passwords are tried, and how often somebody signs up. Expands: programs of schema 1 know nothing of it.
--
-- Purposes: 1 log-in, 2 a change of the password, 3 the repeated registration of an account; of addresses also 4, sign-up.
-- Usernames are canonical, and need not be anybody's. An address is an IPv4 address, the /64 of an IPv6 address, or
-- unknown. Who writes here holds an advisory lock for the account and one for the address, in this order, and takes no
-- other lock but those of the rows.

-- Attempts that are being looked at. Rows live for milliseconds, so vacuum comes by the number of dead ones.
create table attempts (
    id uuid constraint attempts_pkey primary key,
    purpose smallint not null constraint attempts_purpose_is_known check (purpose between 1 and 3),
    username text collate "C" not null,
    address text collate "C" not null,
    lapse_time timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
create index attempts_on_account on attempts (purpose, username, address);
create index attempts_from_address on attempts (purpose, address);
create index attempts_by_lapse on attempts (lapse_time);

-- Consecutive failures of an account at an address, and at all addresses together, which is written '*'.
create table failures (
    purpose smallint not null constraint failures_purpose_is_known check (purpose between 1 and 3),
    username text collate "C" not null,
    address text collate "C" not null,
    count integer not null constraint failures_count_is_one_at_least check (count >= 1),
    last_time timestamptz not null,
    expire_time timestamptz not null,
    constraint failures_pkey primary key (purpose, username, address)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index failures_by_expiry on failures (expire_time);

-- Failures and sign-ups of an address in a stretch of time.
create table address_counts (
    purpose smallint not null constraint address_counts_purpose_is_known check (purpose between 1 and 4),
    address text collate "C" not null,
    count integer not null constraint address_counts_count_is_one_at_least check (count >= 1),
    end_time timestamptz not null,
    constraint address_counts_pkey primary key (purpose, address)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
create index address_counts_by_end on address_counts (end_time);
