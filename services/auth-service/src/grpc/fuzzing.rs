//! Both listeners as fuzz targets call them: over the fakes of the core, and without what does not depend on a call, which is
//! made once; and the page tokens of their lists.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::LazyLock;

use auth_core::domain::SessionPosition;
use auth_core::queries::SessionPage;
use auth_core::testing::{Fakes, World};
use axum::http::{Request, Response};
use identity::UserId;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tower::Layer as _;

use super::{
    Arc, CallLayer, IpNet, PageTokens, UseCases, Workloads, auth_server, identity_server, internal, public,
};
use crate::workload::{Allowance, Tokens, Workload};

static PUBLIC: LazyLock<CallLayer> =
    LazyLock::new(|| public(use_cases(&World::new()), false).expect("good descriptors").layer);
static INTERNAL: LazyLock<CallLayer> = LazyLock::new(|| {
    let nobody = Workloads::of_nobody();
    internal(use_cases(&World::new()), nobody).expect("good descriptors").layer
});

fn use_cases(world: &World) -> UseCases<Fakes> {
    UseCases {
        commands: Arc::clone(&world.commands),
        queries: Arc::clone(&world.queries),
        page_tokens: Arc::new(PageTokens::new([7; 32])),
        trusted_proxies: Arc::new([]),
    }
}

/// `AuthService` in this world.
pub fn end_users(
    world: &World,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + use<> {
    PUBLIC.layer(auth_server(use_cases(world)))
}

/// `IdentityProviderService` in this world, for workloads with these tokens.
///
/// # Panics
/// Never: the tokens are in no file.
pub async fn workloads(
    world: &World,
    tokens: &[(&str, Allowance)],
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + use<> {
    let workload = |(token, allowance): &(&str, Allowance)| Workload {
        name: format!("{allowance:?}"),
        tokens: Some(Tokens::fixed((*token).into())),
        san: None,
        allowance: *allowance,
    };
    let workloads: Vec<_> = tokens.iter().map(workload).collect();
    let workloads = Workloads::follow(&workloads).await.expect("tokens that are in no file");
    INTERNAL.layer(identity_server(use_cases(world), workloads))
}

/// Where a caller comes from that these proxies may have called for.
#[must_use]
pub fn client_address(peer: IpAddr, metadata: &MetadataMap, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    super::client_address::client_address(Some(peer), metadata, trusted_proxies)
}

/// Where the page of a user's sessions begins that this token stands for, if it is one.
#[must_use]
pub fn session_position(tokens: &PageTokens, user_id: UserId, token: &str) -> Option<SessionPosition> {
    super::wire::session_position(tokens, user_id, token)
}

/// The token of the page of a user's sessions that begins at this place.
#[must_use]
pub fn session_token(tokens: &PageTokens, user_id: UserId, place: SessionPosition) -> String {
    let page = SessionPage { sessions: Vec::new(), next: Some(place) };
    super::wire::next_session_page(tokens, user_id, &page)
}
