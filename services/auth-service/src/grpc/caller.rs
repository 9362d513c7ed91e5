//! Who calls `AuthService`: the order in which its methods look at a call, and how they answer.

use auth_core::Error;
use auth_core::commands::{Authenticate, Context, Denial, Principal};
use auth_core::domain::{Client, RenewedToken};
use auth_core::ports::Ports;
use chrono::SecondsFormat;
use grpc_kit::call::{self, unit_of_work};
use grpc_kit::metadata::{Bearer, bearer};
use identity::UserId;
use std::net::IpAddr;
use std::sync::Arc;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Extensions, Request, Response, Status};

use super::client_address::client_address;
use super::{UseCases, status};
use crate::security;

/// Whether a call may renew its session's token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// A token near its end is renewed.
    Allowed,
    /// The call ends the session, or gives a new token itself.
    Skipped,
}

/// The caller of a method that needs a session.
pub(super) struct Caller {
    pub(super) principal: Principal,
    metadata: MetadataMap,
    extensions: Extensions,
    renewed: Option<RenewedToken>,
}

impl<P: Ports> UseCases<P> {
    /// Admits callers with a good token only.
    pub(super) async fn authenticated<M>(
        &self,
        request: Request<M>,
        renewal: Renewal,
    ) -> Result<(Caller, M), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let Bearer::Token(token) = bearer(&metadata) else {
            return Err(status::auth(Error::Unauthenticated));
        };
        let check = Authenticate { token, skip_renewal: renewal == Renewal::Skipped };
        let checked = check.execute(&self.commands).await.map_err(status::auth)?;
        let authenticated = checked.map_err(denied)?;
        let mut principal = authenticated.principal;
        call::is_of(principal.account.id.as_uuid());
        let renewed = match authenticated.due {
            None => None,
            Some(due) => {
                let commands = Arc::clone(&self.commands);
                let used = unit_of_work(async move { due.execute(&commands).await }).await;
                let used = used.map_err(status::auth)?.map_err(denied)?;
                principal.session = used.session;
                used.renewed
            }
        };
        Ok((Caller { principal, metadata, extensions, renewed }, message))
    }

    /// Admits callers without a good token only. Renews and writes nothing. Whoever is not admitted has asked for `event` all the
    /// same.
    pub(super) async fn anonymous<M>(
        &self,
        request: Request<M>,
        event: &'static str,
    ) -> Result<(Client, M), Status> {
        let (metadata, extensions, message) = request.into_parts();
        let client = self.client(&metadata, &extensions);
        let Bearer::Token(token) = bearer(&metadata) else {
            return Ok((client, message));
        };
        let check = async |token: String, cx: Arc<Context<P>>| {
            let check = Authenticate { token: &token, skip_renewal: true };
            Ok(check.execute(&cx).await?.ok().map(|known| known.principal.account.id))
        };
        let from = client.peer_address;
        let tell = move |known: &Result<Option<UserId>, Error>| match known {
            Ok(None) => {}
            Ok(Some(user_id)) => {
                call::is_of(user_id.as_uuid());
                security::record_known(event, Some(*user_id), from, &Error::AlreadyAuthenticated);
            }
            Err(error) => security::record_known(event, None, from, error),
        };
        match self.audited(Ok(token.to_owned()), check, tell).await.map_err(status::auth)? {
            None => Ok((client, message)),
            Some(_) => Err(status::auth(Error::AlreadyAuthenticated)),
        }
    }

    /// What is known of a caller's client: for a session that it opens.
    pub(super) fn client_of(&self, caller: &Caller) -> Client {
        self.client(&caller.metadata, &caller.extensions)
    }

    fn client(&self, metadata: &MetadataMap, extensions: &Extensions) -> Client {
        let user_agent = metadata.get("user-agent").map_or(&[][..], |value| value.as_encoded_bytes());
        let address = client_address(peer(extensions), metadata, &self.trusted_proxies);
        Client::new(&String::from_utf8_lossy(user_agent), address)
    }
}

impl Caller {
    /// The answer, with the renewed token in its metadata, on errors too.
    pub(super) fn answer<T>(self, outcome: Result<T, Status>) -> Result<Response<T>, Status> {
        let Some(renewed) = self.renewed else { return outcome.map(Response::new) };
        match outcome {
            Ok(message) => {
                let mut response = Response::new(message);
                announce(response.metadata_mut(), &renewed);
                Ok(response)
            }
            Err(mut status) => {
                announce(status.metadata_mut(), &renewed);
                Err(status)
            }
        }
    }

    /// Forgets the renewed token: the session that it is for has ended.
    pub(super) fn session_ended(&mut self) {
        self.renewed = None;
    }
}

/// The caller is never told why.
fn denied(denial: Denial) -> Status {
    security::record_denial(denial);
    status::auth(Error::Unauthenticated)
}

fn announce(metadata: &mut MetadataMap, renewed: &RenewedToken) {
    let expire_time = renewed.expire_time.to_rfc3339_opts(SecondsFormat::Secs, true);
    if let (Ok(mut token), Ok(expire_time)) =
        (MetadataValue::try_from(renewed.token.expose()), MetadataValue::try_from(expire_time))
    {
        token.set_sensitive(true);
        metadata.insert("x-session-token", token);
        metadata.insert("x-session-expire-time", expire_time);
    }
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let connection = extensions.get::<tonic::transport::server::TcpConnectInfo>()?;
    connection.remote_addr().map(|address| address.ip())
}
