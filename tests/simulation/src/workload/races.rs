//! Calls that meet: what ends sessions or rights, and what begins or prolongs them, at the same moment; and then a look at
//! who is still let in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use users_core::domain::Role;

use super::Client;
use crate::scheduler::{Node, lock};

impl Client {
    /// Does several things at about the same time, and waits for all of them.
    async fn at_once(&self, works: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>) {
        let left = Arc::new(Mutex::new(works.len()));
        for work in works {
            let (left, sim) = (Arc::clone(&left), self.sim.clone());
            let delay = Duration::from_millis(self.sim.below(40));
            self.sim.spawn_apart(Node::Client, "client", async move {
                sim.sleep(delay).await;
                work.await;
                *lock(&left) -= 1;
            });
        }
        while *lock(&left) > 0 {
            self.sim.sleep(Duration::from_millis(20)).await;
        }
    }

    /// Somebody logs in while an administrator inactivates the user or sets its password, who is active again afterwards.
    pub(super) async fn log_in_while_it_is_ended(&self) {
        let Some(person) = self.any_person() else { return };
        let inactivates = self.sim.below(2) == 0;
        let Some(token) = self.token_of(Role::SuperAdmin) else { return };
        let mut works: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for _ in 0..3 {
            let client = self.clone();
            works.push(Box::pin(async move { client.log_in(person).await }));
        }
        let (administrator, bearer) = (self.clone(), token.clone());
        works.push(Box::pin(async move {
            if inactivates {
                administrator.set_state_of(&bearer, person, false).await;
            } else {
                administrator.set_password_of(&bearer, person).await;
            }
        }));
        self.at_once(works).await;
        if inactivates {
            self.set_state_of(&token, person, true).await;
        }
        self.ask_with_the_newest_tokens_of(person).await;
    }

    /// A session is used or prolonged while it is ended.
    pub(super) async fn use_a_session_while_it_ends(&self) {
        let Some(token) = self.any_token() else { return };
        let Some(person) = self.person_of(&token) else { return };
        let (first, second) = (self.clone(), self.clone());
        let (bearer, other) = (token.clone(), token.clone());
        let logs_out = self.sim.below(2) == 0;
        self.at_once(vec![
            Box::pin(async move { first.refresh_with(&bearer).await }),
            Box::pin(async move {
                if logs_out {
                    second.log_out_with(&other).await;
                } else {
                    second.revoke_own_sessions_with(&other).await;
                }
            }),
        ])
        .await;
        self.ask_about(&token).await;
        self.ask_with_the_newest_tokens_of(person).await;
    }

    async fn ask_with_the_newest_tokens_of(&self, person: usize) {
        let tokens: Vec<_> = {
            let model = self.model();
            let of_person = model.tokens.iter().rev();
            of_person
                .filter(|known| model.sessions[known.session].person == person)
                .take(3)
                .map(|known| known.token.clone())
                .collect()
        };
        for token in tokens {
            self.ask_about(&token).await;
        }
    }
}
