//! Tests of what both services have in common.

/// Makes a test for each service of functions that are given one.
macro_rules! for_each_service {
    ($($test:ident),+ $(,)?) => {
        mod auth_service { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                Box::pin(super::$test(e2e::Service::Auth)).await;
            }
        )+ }

        mod users_service { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                Box::pin(super::$test(e2e::Service::Users)).await;
            }
        )+ }
    };
}
