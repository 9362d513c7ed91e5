//! The listener as fuzz targets call it, over the fakes of the core and without what does not depend on a call, which is made
//! once; and the page tokens of its lists.

use std::convert::Infallible;
use std::sync::LazyLock;

use api::users as pb;
use axum::http;
use tonic::body::Body;
use tonic::codegen::Service;
use tower::Layer as _;
use users_core::domain::UserKey;
use users_core::queries::Place;
use users_core::testing::{Fakes, World};

use super::{CallLayer, Error, PageTokens, Users, page, public, users_server};

static PUBLIC: LazyLock<CallLayer> =
    LazyLock::new(|| public(users(&World::new()), false).expect("good descriptors").layer);

fn users(world: &World) -> Users<Fakes> {
    Users { commands: world.commands(), queries: world.queries(), page_tokens: PageTokens::new([7; 32]) }
}

/// `UsersService` in this world.
pub fn listener(
    world: &World,
) -> impl Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future: Send> + use<>
{
    PUBLIC.layer(users_server(users(world)))
}

/// Where the page begins that this request asks for, if it may.
pub fn place(tokens: &PageTokens, request: &pb::ListUsersRequest) -> Result<Option<Place>, Error> {
    page::open(tokens, request)
}

/// The token of the page that begins at this place.
#[must_use]
pub fn page_token(tokens: &PageTokens, request: &pb::ListUsersRequest, place: &Place) -> String {
    page::seal(tokens, request, Some(place))
}

/// The port's own token of the page of a user's sessions that this token stands for; none for the first page.
pub fn port_token(tokens: &PageTokens, user: &UserKey, token: &str) -> Result<Option<String>, Error> {
    page::open_sessions(tokens, user, token)
}

/// The token of the page of a user's sessions that is the port's by this token.
#[must_use]
pub fn sessions_token(tokens: &PageTokens, user: &UserKey, port_token: &str) -> String {
    page::seal_sessions(tokens, user, Some(port_token))
}
