-- Accounts, sessions and the account feed of auth-service. Times come from the server's clock.

-- The oldest schema whose programs may work on this one; each later migration sets it anew.
create table schema_compatibility (
    compatible_from bigint not null
);
insert into schema_compatibility (compatible_from) values (1);

-- What there is one of. `newest` numbers the changes of accounts: whoever changes one takes the next number in the
-- statement that changes it, and commits right after. The row's lock is held until the commit is visible, so the order
-- of numbers is the order of commits. It is the last lock that any transaction takes.
create table feed (
    id smallint constraint feed_pkey primary key constraint feed_is_one_row check (id = 1),
    newest bigint not null constraint feed_newest_counts_up check (newest >= 0)
);
insert into feed (id, newest) values (1, 0);

-- The life of this database, which every call of every client reads. A row of its own: that of `feed` has as many versions
-- as accounts were changed since the oldest transaction began, a long backup's perhaps, and whoever reads it goes through
-- them all.
create table feed_epoch (
    id smallint constraint feed_epoch_pkey primary key constraint feed_epoch_is_one_row check (id = 1),
    epoch text not null
);
insert into feed_epoch (id, epoch) values (1, replace(gen_random_uuid()::text, '-', ''));

-- Each random UUID has 122 random bits: three are more than the key's 256.
create table page_token_key (
    id smallint constraint page_token_key_pkey primary key constraint page_token_key_is_one_row check (id = 1),
    key bytea not null constraint page_token_key_has_32_bytes check (length(key) = 32)
);
insert into page_token_key (id, key) values (
    1,
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
);

-- `accounts_version_key` is what the feed reads along.
create table accounts (
    id uuid constraint accounts_pkey primary key,
    username text not null constraint accounts_username_length check (length(username) between 5 and 20),
    canonical_username text collate "C" not null constraint accounts_canonical_username_key unique,
    state smallint not null constraint accounts_state_is_known check (state in (1, 2)),
    password_hash text not null,
    credential_version bigint not null constraint accounts_credential_version_counts_up check (credential_version >= 1),
    create_time timestamptz not null,
    update_time timestamptz not null,
    version bigint not null constraint accounts_version_key unique,
    constraint accounts_username_is_canonical check (canonical_username = lower(username collate "C")),
    constraint accounts_times_in_order check (update_time >= create_time),
    constraint accounts_version_counts_up check (version >= 1)
);

-- Rows come and go with every log-in, and a use of a session moves its `last_used_time`, once a minute at most:
--
-- - No index has `last_used_time`, and a fifth of each page is left free, so that this update stays on its page and
--   touches no index (HOT). A renewal moves `expire_time`, which is indexed, and is rarer.
-- - Vacuum and analyze begin when a fiftieth of the rows has changed, not a fifth: the purge deletes at one end of
--   `sessions_by_expiry`, and would wade through the entries of what it deleted before.
-- - The live sessions of an account are a range of `sessions_of_account`, as short as the cap on them, and sorted in
--   memory; what has expired is outside of it, however much of that an account has.
-- - `sessions_by_expiry` is for what is about everybody's sessions, such as the purge, and is on an expression that nothing
--   else says: the planner cannot take it for an account's sessions and go through everybody's.
create table sessions (
    id uuid constraint sessions_pkey primary key,
    account_id uuid not null constraint sessions_account_id_fkey references accounts (id),
    create_time timestamptz not null,
    expire_time timestamptz not null,
    absolute_expire_time timestamptz not null,
    last_used_time timestamptz not null,
    authenticated_time timestamptz not null,
    user_agent text not null,
    peer_address text,
    constraint sessions_expire_in_time check (expire_time <= absolute_expire_time)
) with (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);
create index sessions_of_account on sessions (account_id, expire_time);
create index sessions_by_expiry on sessions ((expire_time at time zone 'UTC'));

-- Request ids of sign-ups, for 24 hours. The account is added after its request id, in the same transaction.
create table sign_up_requests (
    request_id uuid constraint sign_up_requests_pkey primary key,
    username text not null,
    account_id uuid not null
        constraint sign_up_requests_account_id_fkey references accounts (id) deferrable initially deferred,
    create_time timestamptz not null
);
create index sign_up_requests_by_age on sign_up_requests (create_time);
