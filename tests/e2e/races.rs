//! Races: many callers at once, and what must hold whoever wins. Hashes are cheap here, rate limits are off.

mod credentials;
mod inactivation;
mod revocation;
mod sign_up;

use api::auth::{GetCurrentSessionRequest, LogInRequest, LogInResponse};
use api::identity::ListSessionsRequest;
use api::users::GetCurrentUserRequest;
use e2e::{Failure, PASSWORD, Pair, Reply};
use futures::future::join_all;

/// Logs in so many times at once; of those who are refused, the reason.
async fn log_in_at_once(app: &Pair, username: &str, times: usize) -> Vec<Result<LogInResponse, String>> {
    let request = LogInRequest { username: username.into(), password: PASSWORD.into() };
    let outcomes = join_all((0..times).map(|_| app.anonymous.insist(request.clone()))).await;
    let told = |outcome: Result<Reply<LogInResponse>, Failure>| match outcome {
        Ok(reply) => Ok(reply.message),
        Err(failure) => Err(failure.reason),
    };
    outcomes.into_iter().map(told).collect()
}

/// How late one of two rivals begins, in calls that it makes before. After each race it moves to where the other outcome is
/// more likely, so on any machine the two meet.
#[derive(Default)]
struct HeadStart(u32);

impl HeadStart {
    /// Lets it pass.
    async fn pass(&self, app: &Pair) {
        for _ in 0..self.0 {
            app.user.ok(GetCurrentSessionRequest {}).await;
        }
    }

    /// Who has it won, or lost in spite of it.
    fn adapt(&mut self, won: bool) {
        self.0 = if won { self.0.saturating_sub(1) } else { self.0 + 1 };
    }
}

/// Which of these tokens admit.
async fn good(app: &Pair, tokens: impl IntoIterator<Item = String>) -> Vec<String> {
    let checked = tokens.into_iter().map(async |token| {
        let bearer = app.anonymous.bearer(&token);
        let by_auth = bearer.call(GetCurrentSessionRequest {}).await.is_ok();
        let by_users = bearer.call(GetCurrentUserRequest::default()).await.is_ok();
        assert_eq!(by_auth, by_users, "both services say the same");
        by_auth.then_some(token)
    });
    join_all(checked).await.into_iter().flatten().collect()
}

/// The ids of somebody's live sessions.
async fn live(app: &Pair, id: &str) -> Vec<String> {
    let request = ListSessionsRequest { account_id: id.into(), page_size: 1000, page_token: String::new() };
    let sessions = app.full.ok(request).await.message.sessions;
    sessions.into_iter().map(|session| session.session_id).collect()
}
