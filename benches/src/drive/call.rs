//! The calls that can be made.

use std::sync::Arc;
use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::identity::authenticate_response::Outcome;
use api::identity::{AuthenticateRequest, AuthenticateResponse};
use api::users::GetCurrentUserRequest;
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Response, Status};

use super::Connection;
use super::ending::Ending;

/// Longer than any server's own deadline.
const PATIENCE: Duration = Duration::from_secs(40);

/// An `authorization` value.
type Bearer = MetadataValue<Ascii>;

/// A call with everything that it says. Clones are cheap.
#[derive(Clone)]
pub(crate) enum Call {
    /// `AuthService.LogIn`.
    LogIn(Arc<LogInRequest>),
    /// `IdentityProviderService.Authenticate`, by a workload, about a token.
    Authenticate(Bearer, Arc<AuthenticateRequest>),
    /// `AuthService.GetCurrentSession`.
    GetCurrentSession(Bearer),
    /// `UsersService.GetCurrentUser`.
    GetCurrentUser(Bearer),
}

impl Call {
    /// Logs somebody in.
    pub(crate) fn log_in(username: &str, password: &str) -> Self {
        let request = LogInRequest { username: username.to_owned(), password: password.to_owned() };
        Self::LogIn(Arc::new(request))
    }

    /// Asks the port whose token this is.
    pub(crate) fn authenticate(workload_token: &str, token: &str) -> Self {
        let request = AuthenticateRequest { access_token: token.to_owned(), skip_renewal: false };
        Self::Authenticate(bearer(workload_token), Arc::new(request))
    }

    /// Asks auth-service whose token this is.
    pub(crate) fn get_current_session(token: &str) -> Self {
        Self::GetCurrentSession(bearer(token))
    }

    /// Asks users-service whose token this is.
    pub(crate) fn get_current_user(token: &str) -> Self {
        Self::GetCurrentUser(bearer(token))
    }

    /// Makes it and waits for the answer.
    pub(crate) async fn make(&self, over: &Connection) -> Ending {
        match timeout(PATIENCE, self.send(over)).await {
            Ok(Ok(label)) => Ending::plain(label),
            Ok(Err(status)) => Ending::of(&status),
            Err(_) => Ending::plain("NO ANSWER"),
        }
    }

    async fn send(&self, over: &Connection) -> Result<&'static str, Status> {
        match self {
            Self::LogIn(message) => over.auth().log_in(LogInRequest::clone(message)).await.map(ok),
            Self::Authenticate(workload, message) => {
                let request = carrying(workload, AuthenticateRequest::clone(message));
                over.identity().authenticate(request).await.map(admitted)
            }
            Self::GetCurrentSession(token) => {
                let request = carrying(token, GetCurrentSessionRequest::default());
                over.auth().get_current_session(request).await.map(ok)
            }
            Self::GetCurrentUser(token) => {
                let request = carrying(token, GetCurrentUserRequest::default());
                over.users().get_current_user(request).await.map(ok)
            }
        }
    }
}

fn bearer(token: &str) -> Bearer {
    format!("Bearer {token}").parse().expect("a token of visible characters")
}

fn carrying<M>(authorization: &Bearer, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", authorization.clone());
    request
}

fn ok<M>(_: Response<M>) -> &'static str {
    Ending::OK
}

/// Whom the port does not know it denies with OK: that is no success of the call that was measured.
fn admitted(answer: Response<AuthenticateResponse>) -> &'static str {
    match answer.get_ref().outcome {
        Some(Outcome::Principal(_)) => Ending::OK,
        Some(Outcome::Denied(_)) | None => "OK, but denied",
    }
}
