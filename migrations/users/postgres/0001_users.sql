-- Users, as they are projected from accounts, with the role that is owned here.

-- The lives of the auth database, in the order in which they were met: versions compare within one epoch only.
create table feed_epochs (
    ordinal bigint generated always as identity constraint feed_epochs_pkey primary key,
    epoch text collate "C" not null constraint feed_epochs_epoch_key unique
);

create table users (
    id uuid constraint users_pkey primary key,
    username text collate "C" not null,
    -- The username in lowercase. Not unique: that is the owner of accounts' to say, and after a restore there may be two
    -- for a while.
    canonical_username text collate "C" not null,
    role smallint not null constraint users_role_check check (role between 1 and 3),
    role_version bigint not null constraint users_role_version_check check (role_version >= 1),
    role_time timestamptz not null,
    state smallint not null constraint users_state_check check (state between 1 and 2),
    create_time timestamptz not null,
    account_update_time timestamptz not null,
    epoch_ordinal bigint not null constraint users_epoch_ordinal_fkey references feed_epochs (ordinal),
    account_version bigint not null constraint users_account_version_check check (account_version >= 0),
    -- The later of the last account change and the last role change. Kept, because it never decreases.
    update_time timestamptz not null,
    -- The id once more, for lists that are sorted by nothing else: those who are asked for are a range of `users_by_place`.
    -- By `id` the planner may as well go through everybody by the primary key and let the others go, however many.
    place uuid not null generated always as (id) stored
);

-- Roles and states have few values, so every list is a merge of few ranges that each begin with one of both, whatever is
-- filtered and sorted by. Times run from the latest, as they do in the default order. Every index is written on every
-- change of an account: a new one needs a list that no range of these can give.
create index users_by_username on users (role, state, canonical_username, id);
create index users_by_create_time on users (role, state, create_time desc, id);
create index users_by_update_time on users (role, state, update_time desc, id);
create index users_by_place on users (role, state, place);

-- Ids that were given out, with the role that the user will have.
create table reservations (
    user_id uuid constraint reservations_pkey primary key,
    role smallint not null constraint reservations_role_check check (role between 1 and 3),
    create_time timestamptz not null
);
create index reservations_by_create_time on reservations (create_time, user_id);

-- By what a repeated CreateUser is recognised. Never the password.
create table requests (
    caller_id uuid not null,
    request_id uuid not null,
    username text collate "C" not null,
    role smallint not null constraint requests_role_check check (role between 1 and 3),
    user_id uuid not null,
    create_time timestamptz not null,
    constraint requests_pkey primary key (caller_id, request_id)
);
create index requests_by_user on requests (user_id);
create index requests_by_create_time on requests (create_time);

-- The place in the account feed, and the lease of whoever moves it: one row.
create table feed (
    only_row boolean constraint feed_pkey primary key constraint feed_only_row_check check (only_row),
    cursor text not null,
    epoch text,
    snapshot_done boolean not null,
    lease_owner uuid,
    lease_expire_time timestamptz not null,
    fence bigint not null
);
insert into feed values (true, '', null, false, null, 'epoch', 0);

-- The super admin that is being made: one row or none.
create table bootstrap (
    only_row boolean constraint bootstrap_pkey primary key constraint bootstrap_only_row_check check (only_row),
    user_id uuid not null,
    username text not null
);

-- What all replicas of the service share: one row.
create table service (
    only_row boolean constraint service_pkey primary key constraint service_only_row_check check (only_row),
    page_token_key bytea not null constraint service_page_token_key_check check (length(page_token_key) = 32)
);
-- Each of these ids has 122 random bits of the server's strong generator.
insert into service
values (true, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- The oldest schema whose programs may work on this one: one row.
create table schema_compatibility (
    compatible_from bigint not null
);
insert into schema_compatibility values (1);
