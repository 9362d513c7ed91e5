//! `tandem.users.v1.UsersService` over gRPC.
//!
//! A handler authenticates and authorizes, parses, executes and answers; nothing is decided here. The whole of it runs
//! as a unit of work, which a caller that goes away does not cut in half. Knows nothing of any store.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod page;
mod status;
mod users;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use api::users::users_service_server::UsersServiceServer;
use fail_point::mutant;
use grpc_kit::health::{self, HealthHandle};
use grpc_kit::metadata::{Bearer, bearer};
use grpc_kit::{CallLayer, MAX_REQUEST_BYTES, PageTokens, call, reflection};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use users_core::commands::{Authenticate, Command};
use users_core::domain::{AccessToken, Actor, Permission, RenewedToken};
use users_core::ports::Ports;
use users_core::{Error, commands, queries};

use self::wire::{About, Audited};
use crate::security;

const USERS: &str = "tandem.users.v1.UsersService";

/// Everything that the handlers use.
pub(crate) struct Users<P: Ports> {
    pub(crate) commands: commands::Context<P>,
    pub(crate) queries: queries::Context<P>,
    pub(crate) page_tokens: PageTokens,
}

/// What the listener serves.
pub(crate) struct Served {
    pub(crate) routes: Routes,
    pub(crate) layer: CallLayer,
    pub(crate) health: HealthHandle,
}

/// The public listener: `UsersService`, health, and reflection of just these.
pub(crate) fn public<P: Ports>(users: Users<P>, reflects: bool) -> Result<Served, reflection::Error> {
    let (health, health_server) = health::service(&[USERS]);
    let mut routes = Routes::new(users_server(users)).add_service(health_server);
    let mut layer =
        CallLayer::new(status::DOMAIN).serving(&[api::descriptors::USERS], &[USERS, health::SERVICE])?;
    if reflects {
        let (v1, v1alpha) = reflection::services(&[api::descriptors::USERS], &[USERS, health::SERVICE])?;
        routes = routes.add_service(v1).add_service(v1alpha);
        layer = layer.serving(&[], &reflection::SERVICES)?;
    }
    Ok(Served { routes, layer, health })
}

fn users_server<P: Ports>(users: Users<P>) -> UsersServiceServer<Handlers<P>> {
    UsersServiceServer::new(Handlers(Arc::new(users))).max_decoding_message_size(MAX_REQUEST_BYTES)
}

/// The rpcs; see `grpc/users.rs`.
struct Handlers<P: Ports>(Arc<Users<P>>);

/// What a handler answers.
type Answer<A> = Result<Response<A>, Status>;

impl<P: Ports> Handlers<P> {
    /// Admits a caller that has what the use case needs, then acts.
    async fn admitted<C, M, A, F>(
        &self,
        request: Request<M>,
        act: impl FnOnce(Arc<Users<P>>, Actor, M) -> F + Send + 'static,
    ) -> Answer<A>
    where
        C: Command,
        M: About + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<A, Error>> + Send,
    {
        self.admitted_if(request, false, |_, _| C::NEEDS, act).await
    }

    /// As [`admitted`](Self::admitted), for a command, of which it is written down what came of it, however far it got.
    async fn commanded<C, M, A, F>(
        &self,
        request: Request<M>,
        act: impl FnOnce(Arc<Users<P>>, Actor, M) -> F + Send + 'static,
    ) -> Answer<A>
    where
        C: Command,
        M: Audited + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<A, Error>> + Send,
    {
        self.admitted::<C, _, _, _>(request, move |users, actor, message| async move {
            let (by, about) = (actor.id, message.about());
            security::audited(M::EVENT, by, about, act(users, actor, message)).await
        })
        .await
    }

    /// Admits a caller that has what this very request needs, then acts. A token that was renewed is returned however
    /// the call ends.
    async fn admitted_if<M, A, F>(
        &self,
        request: Request<M>,
        skip_renewal: bool,
        needs: impl FnOnce(&Actor, &M) -> Permission + Send + 'static,
        act: impl FnOnce(Arc<Users<P>>, Actor, M) -> F + Send + 'static,
    ) -> Answer<A>
    where
        M: About + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<A, Error>> + Send,
    {
        let users = Arc::clone(&self.0);
        let token = token(request.metadata());
        let message = request.into_inner();
        // A defect: every call leaves a task behind.
        if mutant("call.leaves_a_task") {
            tokio::spawn(std::future::pending::<()>());
        }
        // A defect: a descriptor stays open.
        if mutant("call.leaves_a_file") {
            std::mem::forget(std::fs::File::open("/dev/null"));
        }
        // A defect: the process dies of its hundredth call.
        if mutant("call.ends_the_process") {
            static CALLS: AtomicU32 = AtomicU32::new(1);
            if CALLS.fetch_add(1, Ordering::Relaxed) == 100 {
                std::process::abort();
            }
        }
        // A defect: memory is never given back.
        if mutant("call.leaves_memory") {
            std::mem::forget(vec![1_u8; 512 * 1024]);
        }
        let work = async move {
            let who = Authenticate { token, skip_renewal }.execute(&users.commands).await;
            let outcome = match who.caller {
                Ok(actor) => {
                    call::is_of(actor.id.as_uuid());
                    match actor.require(needs(&actor, &message)) {
                        Ok(()) => act(users, actor, message).await,
                        // A defect: whoever is somebody may do anything.
                        Err(_) if mutant("callers.of_any_role") => act(users, actor, message).await,
                        Err(error) => {
                            security::record_refusal(actor.id, message.about(), &error);
                            Err(error)
                        }
                    }
                }
                Err(error) => Err(error),
            };
            answer(who.renewed.as_ref(), outcome)
        };
        call::unit_of_work(work).await
    }
}

fn token(metadata: &MetadataMap) -> Option<AccessToken> {
    match bearer(metadata) {
        Bearer::Token(token) => Some(AccessToken::new(token.to_owned())),
        Bearer::Absent | Bearer::Malformed => None,
    }
}

fn answer<A>(renewed: Option<&RenewedToken>, outcome: Result<A, Error>) -> Answer<A> {
    match outcome {
        Ok(message) => {
            let mut response = Response::new(message);
            hand_on(renewed, response.metadata_mut());
            Ok(response)
        }
        Err(error) => {
            let mut status = status::of(error);
            hand_on(renewed, status.metadata_mut());
            Err(status)
        }
    }
}

fn hand_on(renewed: Option<&RenewedToken>, metadata: &mut MetadataMap) {
    let Some(renewed) = renewed else { return };
    let expire_time = renewed.expire_time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let pairs = [("x-session-token", renewed.token.expose()), ("x-session-expire-time", &expire_time)];
    for (key, value) in pairs {
        if let Ok(mut value) = value.parse::<MetadataValue<Ascii>>() {
            value.set_sensitive(true);
            metadata.insert(key, value);
        }
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
