use grpc_kit::Call;
use tokio::net::TcpListener;
use users_core::testing::a_username;

use super::*;

const PATIENCE: Duration = Duration::from_millis(200);

fn provider(port: u16) -> GrpcIdentityProvider {
    let connection = Connection {
        url: format!("http://127.0.0.1:{port}"),
        token: SecretString::from("0123456789abcdef0123456789abcdef"),
        timeout: PATIENCE,
    };
    GrpcIdentityProvider::new(&connection).unwrap()
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn ask(provider: &GrpcIdentityProvider) -> ProviderError {
    provider.get_account(&UserKey::Username(a_username("alice"))).await.unwrap_err()
}

fn call(left: Duration) -> Call {
    let deadline = Some(Instant::now() + left);
    Call { request_id: "r-1".into(), deadline, traceparent: None, tracestate: None, peer: None }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let (listener, port) = listener().await;
    drop(listener);
    assert!(matches!(ask(&provider(port)).await, ProviderError::Unavailable(_)));
}

#[tokio::test]
async fn a_provider_that_is_silent_is_unavailable_in_time() {
    let (_silent, port) = listener().await;
    let began = Instant::now();
    assert!(matches!(ask(&provider(port)).await, ProviderError::Unavailable(_)));
    assert!(began.elapsed() < 5 * PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn without_time_left_to_answer_nobody_is_asked() {
    let (_silent, port) = listener().await;
    let provider = provider(port);
    let error = call::scope(call(Duration::ZERO), ask(&provider)).await;
    assert!(matches!(error, ProviderError::DeadlineExceeded));
}

#[tokio::test]
async fn the_credential_is_not_shown() {
    let shown = format!("{:?}", provider(1));
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
}
