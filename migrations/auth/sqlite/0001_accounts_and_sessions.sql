-- Accounts, sessions and the account feed of auth-service. Times are microseconds since 1970, UTC.

-- The oldest schema whose programs may work on this one; each later migration sets it anew.
create table schema_compatibility (
    compatible_from integer not null
) strict;
insert into schema_compatibility (compatible_from) values (1);

-- What there is one of. `newest` numbers the changes of accounts: whoever changes one takes the next number as its
-- last statement before the commit, so the order of numbers is the order of commits.
create table feed (
    id integer primary key check (id = 1),
    epoch text not null,
    newest integer not null check (newest >= 0)
) strict;
insert into feed (id, epoch, newest) values (1, lower(hex(randomblob(16))), 0);

create table page_token_key (
    id integer primary key check (id = 1),
    key blob not null check (length(key) = 32)
) strict;
insert into page_token_key (id, key) values (1, randomblob(32));

create table accounts (
    id blob not null primary key check (length(id) = 16),
    username text not null check (length(username) between 5 and 20),
    canonical_username text not null unique check (canonical_username = lower(username)),
    state integer not null check (state in (1, 2)),
    password_hash text not null,
    credential_version integer not null check (credential_version >= 1),
    create_time integer not null,
    update_time integer not null check (update_time >= create_time),
    version integer not null unique check (version >= 1)
) strict, without rowid;

create table sessions (
    id text not null primary key check (length(id) = 32),
    account_id blob not null references accounts (id),
    create_time integer not null,
    expire_time integer not null,
    absolute_expire_time integer not null,
    last_used_time integer not null,
    authenticated_time integer not null,
    user_agent text not null,
    peer_address text,
    check (expire_time <= absolute_expire_time)
) strict, without rowid;
create index sessions_of_account on sessions (account_id, create_time, id);
create index sessions_by_expiry on sessions (expire_time);

-- Request ids of sign-ups, for 24 hours. The account is added after its request id, in the same transaction.
create table sign_up_requests (
    request_id text not null primary key check (length(request_id) = 36),
    username text not null,
    account_id blob not null references accounts (id) deferrable initially deferred,
    create_time integer not null
) strict, without rowid;
create index sign_up_requests_by_age on sign_up_requests (create_time);
