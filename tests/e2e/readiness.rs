//! Whether a process wants calls, as its database changes under it.

use std::net::SocketAddr;

use e2e::{Pair, Service, eventually, get};

/// The schema of a program to come, which this one may not work on.
const MIGRATED: &str = "update schema_compatibility set compatible_from = 999;
     insert into _sqlx_migrations (version, description, success, checksum, execution_time)
     values (999, 'to come', true, '00', 0);";
const BACK: &str = "update schema_compatibility set compatible_from = 1;
     delete from _sqlx_migrations where version = 999;";

async fn readiness(ops: SocketAddr, expected: u16) -> String {
    eventually("another readiness", async || {
        let (status, why) = get(ops, "/readyz").await;
        (status == expected).then_some(why)
    })
    .await
}

#[tokio::test]
async fn a_process_whose_schema_fits_no_more_is_alive_and_not_ready_until_it_does() {
    let app = Pair::start().await;
    for (service, ops) in [(Service::Auth, app.auth_ops()), (Service::Users, app.users_ops())] {
        assert_eq!(get(ops, "/readyz").await.0, 200);
        app.data().run(service, MIGRATED).await;
        let why = readiness(ops, 503).await;
        assert!(why.contains("version 999"), "{why}");
        assert_eq!(get(ops, "/livez").await.0, 200, "to restart it would help nobody");
        app.data().run(service, BACK).await;
        readiness(ops, 200).await;
    }
}
