//! Somebody who makes calls, and remembers every secret that comes back and everything that is said when a call fails.

use api::auth::{LogInRequest, SignUpRequest};
use e2e::{Call, Caller, Canaries, Person, Processes, Reply};
use tonic::Status;

pub(super) struct Witness<'a> {
    pub(super) pair: &'a Processes,
    pub(super) canaries: Canaries,
    /// Every error, with its details as they came.
    errors: Vec<u8>,
    people: u32,
}

/// Somebody with a password that nobody else has.
pub(super) struct Somebody {
    pub(super) person: Person,
    pub(super) password: String,
}

impl<'a> Witness<'a> {
    pub(super) const fn new(pair: &'a Processes, canaries: Canaries) -> Self {
        Self { pair, canaries, errors: Vec::new(), people: 0 }
    }

    /// Makes a call as it should be, then as it should not be: without a message that means anything, and by those who may
    /// not make it.
    pub(super) async fn calls<M: Call + Default>(&mut self, caller: &Caller, good: M) -> Reply<M::Answer> {
        let baggage = self.canaries.hatch("metadata of no meaning");
        let caller = caller.with("cookie", &baggage);
        let answer = self.make(&caller, good.clone()).await;
        self.make(&caller, M::default()).await.ok();
        for (scheme, what) in [("Bearer", "a token of nobody's"), ("Basic", "a credential of no known kind")]
        {
            let garbage = self.canaries.hatch(what);
            let nobody = self.pair.anonymous.with("authorization", &format!("{scheme} {garbage}"));
            self.make(&nobody, good.clone()).await.ok();
        }
        answer.unwrap_or_else(|status| panic!("{status:?}"))
    }

    /// Makes a call that may fail.
    pub(super) async fn make<M: Call>(
        &mut self,
        caller: &Caller,
        message: M,
    ) -> Result<Reply<M::Answer>, Status> {
        let outcome = caller.raw(message).await;
        match &outcome {
            Ok(reply) => {
                if let Some((token, _)) = reply.renewed() {
                    self.canaries.add_token("a renewed token", &token);
                }
            }
            Err(status) => {
                let token = status.metadata().get("x-session-token");
                if let Some(token) = token {
                    self.canaries.add_token("a renewed token", token.to_str().expect("text"));
                }
                self.errors.extend_from_slice(status.message().as_bytes());
                self.errors.extend_from_slice(status.details());
                self.errors.push(b'\n');
            }
        }
        outcome
    }

    /// Signs up and logs in.
    pub(super) async fn somebody(&mut self) -> Somebody {
        self.people += 1;
        let username = format!("witness{}", self.people);
        let password = self.canaries.hatch("a password");
        let request = SignUpRequest {
            username: username.clone(),
            password: password.clone(),
            request_id: String::new(),
        };
        let anonymous = self.pair.anonymous.clone();
        self.make(&anonymous, request).await.expect("signed up");
        self.log_in(&username, password).await
    }

    pub(super) async fn log_in(&mut self, username: &str, password: String) -> Somebody {
        let anonymous = self.pair.anonymous.clone();
        let request = LogInRequest { username: username.to_owned(), password: password.clone() };
        let opened = self.make(&anonymous, request).await.expect("logged in").message;
        self.canaries.add_token("a token", &opened.access_token);
        let person = Person::of(&anonymous, username, opened.access_token, opened.session);
        Somebody { person, password }
    }

    /// Everything that was said about calls that failed, and the secrets.
    pub(super) fn dismiss(self) -> (Vec<u8>, Canaries) {
        (self.errors, self.canaries)
    }
}
