//! Settings whose effect only the server or its rows show.

use api::auth::GetCurrentSessionRequest;
use api::users::{GetCurrentUserRequest, ListUsersRequest};
use e2e::{Engine, Pair, Processes, Service, Settings, sign_up, sql};
use futures::future::join_all;

use crate::crashes::BINARIES;

#[tokio::test]
async fn hashes_are_as_dear_as_the_settings_say() {
    for (memory, iterations) in [("19456", "2"), ("20480", "3")] {
        let settings = Settings::on(Engine::Postgres)
            .auth("PASSWORD__ARGON2_MEMORY_KIB", memory)
            .auth("PASSWORD__ARGON2_ITERATIONS", iterations);
        let pair = Processes::start_with(BINARIES, settings).await;
        pair.anonymous.insist(sign_up("alice")).await.expect("a free name");
        let stored = "select split_part(password_hash, '$', 4) from accounts where username = 'alice'";
        let parameters = sql(&pair.data().url(Service::Auth), stored).await;
        assert!(parameters.contains(&format!("m={memory},t={iterations},p=1")), "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_opens_as_many_connections_as_it_may_and_no_more() {
    for most in [2, 6] {
        let settings = Settings::on(Engine::Postgres)
            .auth("DATABASE__MAX_CONNECTIONS", &most.to_string())
            .users("DATABASE__MAX_CONNECTIONS", &most.to_string());
        let app = Pair::start_with(settings).await;
        join_all((0..64).map(async |_| {
            for _ in 0..10 {
                app.admin.ok(GetCurrentSessionRequest {}).await;
                app.admin.ok(GetCurrentUserRequest::default()).await;
                app.admin.ok(ListUsersRequest::default()).await;
            }
        }))
        .await;
        // They stay open. The one that listens is another one.
        let opened = "select count(*) from pg_stat_activity where datname = current_database() \
                      and pid <> pg_backend_pid() and query not ilike 'listen%'";
        for service in [Service::Auth, Service::Users] {
            let opened: u32 = sql(&app.data().url(service), opened).await.parse().expect("a number");
            assert!((most / 2 + 1..=most).contains(&opened), "{service:?}: {opened} of {most}");
        }
    }
}
