-- Gives the roles of roles.sql their passwords, once, when the cluster is made. They are read where the Secret is
-- mounted.
\set ON_ERROR_STOP 1
set log_min_error_statement = 'panic';
\set auth_owner `cat /etc/tandem/postgres/tandem_auth_owner`
\set auth `cat /etc/tandem/postgres/tandem_auth`
\set users_owner `cat /etc/tandem/postgres/tandem_users_owner`
\set users `cat /etc/tandem/postgres/tandem_users`
alter role tandem_auth_owner password :'auth_owner';
alter role tandem_auth password :'auth';
alter role tandem_users_owner password :'users_owner';
alter role tandem_users password :'users';
