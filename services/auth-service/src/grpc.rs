//! The gRPC side: three-line methods, the mapping of messages, the mapping of errors. Knows no store.

mod auth;
mod caller;
mod client_address;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(test)]
mod hostile;
mod identity_provider;
mod status;
mod wire;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use api::auth::auth_service_server::AuthServiceServer;
use api::identity::identity_provider_service_server::IdentityProviderServiceServer;
use auth_core::ports::Ports;
use auth_core::{Error, commands, queries};
use futures::FutureExt as _;
use grpc_kit::call::unit_of_work;
use grpc_kit::health::{self, HealthHandle};
use grpc_kit::{CallLayer, MAX_REQUEST_BYTES, PageTokens, reflection};
use ipnet::IpNet;
use tonic::service::Routes;

use crate::workload::Workloads;

const AUTH: &str = "tandem.auth.v1.AuthService";
const IDENTITY: &str = "tandem.identity.v1.IdentityProviderService";

/// What both services work with.
pub(crate) struct UseCases<P: Ports> {
    pub(crate) commands: Arc<commands::Context<P>>,
    pub(crate) queries: Arc<queries::Context<P>>,
    pub(crate) page_tokens: Arc<PageTokens>,
    /// Proxies that say for whom they call.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
}

// Derived, it would ask the bundle of ports to be `Clone`, which it is not and need not be.
impl<P: Ports> Clone for UseCases<P> {
    fn clone(&self) -> Self {
        Self {
            commands: Arc::clone(&self.commands),
            queries: Arc::clone(&self.queries),
            page_tokens: Arc::clone(&self.page_tokens),
            trusted_proxies: Arc::clone(&self.trusted_proxies),
        }
    }
}

impl<P: Ports> UseCases<P> {
    /// Runs a use case that writes to its end, also when the caller goes away.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<commands::Context<P>>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        unit_of_work(work(Arc::clone(&self.commands))).await
    }

    /// Runs a command, if it is one, and tells what came of it. That belongs to the same unit of work: a caller that goes away
    /// leaves nothing done that is not written down.
    async fn audited<C, T, F>(
        &self,
        command: Result<C, Error>,
        execute: impl FnOnce(C, Arc<commands::Context<P>>) -> F,
        tell: impl FnOnce(&Result<T, Error>) + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match command {
            Ok(command) => {
                let work = execute(command, Arc::clone(&self.commands));
                let told = async move {
                    // What it left done when it panicked is not known; that it was asked for is.
                    let outcome = AssertUnwindSafe(work).catch_unwind().await;
                    match outcome {
                        Ok(outcome) => {
                            tell(&outcome);
                            outcome
                        }
                        Err(panic) => {
                            tell(&Err(Error::Internal("a panic".into())));
                            resume_unwind(panic)
                        }
                    }
                };
                unit_of_work(told).await
            }
            Err(error) => {
                let outcome = Err(error);
                tell(&outcome);
                outcome
            }
        }
    }
}

/// What a listener serves.
pub(crate) struct Served {
    pub(crate) routes: Routes,
    pub(crate) layer: CallLayer,
    pub(crate) health: HealthHandle,
}

/// The public listener: `AuthService`, health, and reflection of just these.
pub(crate) fn public<P: Ports>(use_cases: UseCases<P>, reflects: bool) -> Result<Served, reflection::Error> {
    let (health, health_server) = health::service(&[AUTH]);
    let mut routes = Routes::new(auth_server(use_cases)).add_service(health_server);
    let mut layer =
        CallLayer::new(status::AUTH_DOMAIN).serving(&[api::descriptors::AUTH], &[AUTH, health::SERVICE])?;
    if reflects {
        let (v1, v1alpha) = reflection::services(&[api::descriptors::AUTH], &[AUTH, health::SERVICE])?;
        routes = routes.add_service(v1).add_service(v1alpha);
        layer = layer.serving(&[], &reflection::SERVICES)?;
    }
    Ok(Served { routes, layer, health })
}

fn auth_server<P: Ports>(use_cases: UseCases<P>) -> AuthServiceServer<auth::AuthGrpc<P>> {
    AuthServiceServer::new(auth::AuthGrpc::new(use_cases)).max_decoding_message_size(MAX_REQUEST_BYTES)
}

/// The internal listener: `IdentityProviderService` and health.
pub(crate) fn internal<P: Ports>(
    use_cases: UseCases<P>,
    workloads: Workloads,
) -> Result<Served, reflection::Error> {
    let (health, health_server) = health::service(&[IDENTITY]);
    let service = identity_server(use_cases, workloads);
    let layer = CallLayer::new(status::IDENTITY_DOMAIN)
        .serving(&[api::descriptors::IDENTITY], &[IDENTITY, health::SERVICE])?;
    Ok(Served { routes: Routes::new(service).add_service(health_server), layer, health })
}

fn identity_server<P: Ports>(
    use_cases: UseCases<P>,
    workloads: Workloads,
) -> IdentityProviderServiceServer<identity_provider::IdentityProviderGrpc<P>> {
    let service = identity_provider::IdentityProviderGrpc::new(use_cases, workloads);
    IdentityProviderServiceServer::new(service).max_decoding_message_size(MAX_REQUEST_BYTES)
}
