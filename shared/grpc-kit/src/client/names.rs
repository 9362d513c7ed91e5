//! How a name becomes addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

/// Looks names up. Clones do so in the same way.
#[derive(Clone)]
pub struct Names(Arc<dyn Fn(String, u16) -> Found + Send + Sync>);

type Found = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

impl Names {
    /// As every program of this machine does.
    #[must_use]
    pub fn of_the_system() -> Self {
        Self::by(|name, port| {
            async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) }.boxed()
        })
    }

    /// By something else.
    #[must_use]
    pub fn by(look_up: impl Fn(String, u16) -> Found + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// Every address of the name, each once and in order.
    pub(super) async fn addresses(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut found = (self.0)(name.to_owned(), port).await?;
        found.sort_unstable();
        found.dedup();
        if found.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(found) }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::of_the_system()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Names").finish_non_exhaustive()
    }
}
