//! Everything that a refused call must not have changed, as far as rpcs show it.

use api::identity::ListSessionsRequest;
use api::users::{ListUsersRequest, User};

use super::callers::Cast;

/// All users, and the sessions of those whom the call is about.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    users: Vec<User>,
    sessions: Vec<api::identity::Session>,
}

impl State {
    pub(super) async fn of(cast: &Cast, ids: [&String; 2]) -> Self {
        let everybody =
            ListUsersRequest { page_size: 1000, order_by: "username".into(), ..Default::default() };
        let page = cast.app.super_admin.ok(everybody).await.message;
        assert!(page.next_page_token.is_empty(), "everybody is on one page");
        let mut sessions = Vec::new();
        for id in ids {
            let request =
                ListSessionsRequest { account_id: id.clone(), page_size: 1000, ..Default::default() };
            // Nobody and unknown users have none.
            sessions.extend(
                cast.app.full.call(request).await.map_or_else(|_| Vec::new(), |page| page.message.sessions),
            );
        }
        Self { users: page.users, sessions }
    }
}
