-- Users, as they are projected from accounts, with the role that is owned here. Times are microseconds since 1970.

-- The lives of the auth database, in the order in which they were met: versions compare within one epoch only.
create table feed_epochs (
    ordinal integer primary key autoincrement,
    epoch text not null unique
) strict;

create table users (
    id blob primary key check (length(id) = 16),
    username text not null,
    -- The username in lowercase. Not unique: that is the owner of accounts' to say, and after a restore there may be two
    -- for a while.
    canonical_username text not null,
    role integer not null check (role between 1 and 3),
    role_version integer not null check (role_version >= 1),
    role_time integer not null,
    state integer not null check (state between 1 and 2),
    create_time integer not null,
    account_update_time integer not null,
    epoch_ordinal integer not null references feed_epochs (ordinal),
    account_version integer not null check (account_version >= 0),
    -- The later of the last account change and the last role change. Kept, because it never decreases.
    update_time integer not null
) strict, without rowid;

-- One for each sort order. Roles and states have few values, so each direction has its own: without it a page would sort
-- half of the table.
create index users_by_username on users (canonical_username, id);
create index users_by_role on users (role, id);
create index users_by_role_descending on users (role desc, id);
create index users_by_state on users (state, id);
create index users_by_state_descending on users (state desc, id);
create index users_by_create_time on users (create_time, id);
create index users_by_update_time on users (update_time, id);

-- Ids that were given out, with the role that the user will have.
create table reservations (
    user_id blob primary key check (length(user_id) = 16),
    role integer not null check (role between 1 and 3),
    create_time integer not null
) strict, without rowid;
create index reservations_by_create_time on reservations (create_time);

-- By what a repeated CreateUser is recognised. Never the password.
create table requests (
    caller_id blob not null check (length(caller_id) = 16),
    request_id text not null,
    username text not null,
    role integer not null check (role between 1 and 3),
    user_id blob not null check (length(user_id) = 16),
    create_time integer not null,
    primary key (caller_id, request_id)
) strict, without rowid;
create index requests_by_user on requests (user_id);
create index requests_by_create_time on requests (create_time);

-- The place in the account feed, and the lease of whoever moves it: one row.
create table feed (
    only integer primary key check (only = 1),
    cursor text not null,
    epoch text,
    snapshot_done integer not null check (snapshot_done in (0, 1)),
    lease_owner blob check (length(lease_owner) = 16),
    lease_expire_time integer not null,
    fence integer not null
) strict;
insert into feed values (1, '', null, 0, null, 0, 0);

-- The super admin that is being made: one row or none.
create table bootstrap (
    only integer primary key check (only = 1),
    user_id blob not null check (length(user_id) = 16),
    username text not null
) strict;

-- What all replicas of the service share: one row.
create table service (
    only integer primary key check (only = 1),
    page_token_key blob not null check (length(page_token_key) = 32)
) strict;
insert into service values (1, randomblob(32));

-- The oldest schema whose programs may work on this one: one row.
create table schema_compatibility (
    compatible_from integer not null
) strict;
insert into schema_compatibility values (1);
