-- How often passwords are tried, and how often somebody signs up. Expands: programs of schema 1 know nothing of it.
--
-- Purposes: 1 log-in, 2 a change of the password, 3 the repeated registration of an account; of addresses also 4, sign-up.
-- Usernames are canonical, and need not be anybody's. An address is an IPv4 address, the /64 of an IPv6 address, or
-- unknown.

-- Attempts that are being looked at.
create table attempts (
    id blob not null primary key check (length(id) = 16),
    purpose integer not null check (purpose between 1 and 3),
    username text not null,
    address text not null,
    lapse_time integer not null
) strict, without rowid;
create index attempts_on_account on attempts (purpose, username, address);
create index attempts_from_address on attempts (purpose, address);
create index attempts_by_lapse on attempts (lapse_time);

-- Consecutive failures of an account at an address, and at all addresses together, which is written '*'.
create table failures (
    purpose integer not null check (purpose between 1 and 3),
    username text not null,
    address text not null,
    count integer not null check (count >= 1),
    last_time integer not null,
    expire_time integer not null,
    primary key (purpose, username, address)
) strict, without rowid;
create index failures_by_expiry on failures (expire_time);

-- Failures and sign-ups of an address in a stretch of time.
create table address_counts (
    purpose integer not null check (purpose between 1 and 4),
    address text not null,
    count integer not null check (count >= 1),
    end_time integer not null,
    primary key (purpose, address)
) strict, without rowid;
create index address_counts_by_end on address_counts (end_time);
