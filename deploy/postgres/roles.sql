-- Databases and roles for Tandem on PostgreSQL: each service has a database of its own, a role that owns the schema and
-- runs `migrate`, and a role that serves and can do nothing but read and write that service's rows.
--
--     psql --no-psqlrc --set ON_ERROR_STOP=1 --file deploy/postgres/roles.sql postgres://ADMIN@HOST/postgres
--
-- as a superuser, or as a member of the roles that it makes. May be run again: what is there stays. It sets no passwords; give each
-- role one by `\password ROLE`, or whatever your server authenticates by. What only `migrate` writes, it takes from the
-- serving roles itself.

\set ON_ERROR_STOP 1

-- A role that exists is left as it is.
select format('create role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls', name)
from unnest(array['tandem_auth_owner', 'tandem_auth', 'tandem_users_owner', 'tandem_users']) as name
where not exists (select from pg_roles where rolname = name)
\gexec

select format('create database %I owner %I encoding ''UTF8'' template template0', name, name || '_owner')
from unnest(array['tandem_auth', 'tandem_users']) as name
where not exists (select from pg_database where datname = name)
\gexec

-- Nobody but the service's own two roles gets in.
revoke all on database tandem_auth, tandem_users from public;
grant connect on database tandem_auth to tandem_auth;
grant connect on database tandem_users to tandem_users;

-- What the services set for each of their sessions, here as well: behind a pooler what a session sets for itself is not its
-- own for long. Bounds for a session that its process forgot; statements that are planned once, by their indexes, and run
-- without compiling them and without other processes.
alter role tandem_auth set idle_in_transaction_session_timeout = '30s';
alter role tandem_auth set statement_timeout = '30s';
alter role tandem_auth set lock_timeout = '10s';
alter role tandem_auth set plan_cache_mode = 'force_generic_plan';
alter role tandem_auth set enable_seqscan = off;
alter role tandem_auth set jit = off;
alter role tandem_auth set max_parallel_workers_per_gather = 0;
alter role tandem_auth set default_transaction_isolation = 'read committed';
alter role tandem_users set idle_in_transaction_session_timeout = '30s';
alter role tandem_users set statement_timeout = '30s';
alter role tandem_users set lock_timeout = '10s';
alter role tandem_users set plan_cache_mode = 'force_generic_plan';
alter role tandem_users set enable_seqscan = off;
alter role tandem_users set jit = off;
alter role tandem_users set max_parallel_workers_per_gather = 0;
alter role tandem_users set default_transaction_isolation = 'read committed';

\connect tandem_auth
revoke all on schema public from public;
grant all on schema public to tandem_auth_owner;
grant usage on schema public to tandem_auth;
alter default privileges for role tandem_auth_owner in schema public
    grant select, insert, update, delete on tables to tandem_auth;

\connect tandem_users
revoke all on schema public from public;
grant all on schema public to tandem_users_owner;
grant usage on schema public to tandem_users;
alter default privileges for role tandem_users_owner in schema public
    grant select, insert, update, delete on tables to tandem_users;
