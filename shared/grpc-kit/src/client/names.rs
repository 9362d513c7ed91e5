//! How a name becomes addresses.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;

/// Looks names up, and remembers what it found. Clones do so in the same way, and have the same memory.
#[derive(Clone)]
pub struct Names(Arc<LookUp>);

struct LookUp {
    by: Box<dyn Fn(String, u16) -> Found + Send + Sync>,
    found: Mutex<HashMap<(String, u16), Vec<SocketAddr>>>,
}

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
        Self(Arc::new(LookUp { by: Box::new(look_up), found: Mutex::default() }))
    }

    /// Every address of the name, each once and in order.
    pub(super) async fn addresses(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut found = (self.0.by)(name.to_owned(), port).await?;
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::other("it has no address"));
        }
        let mut known = self.0.found.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((name.to_owned(), port), found.clone());
        Ok(found)
    }

    /// What was found when the name could be looked up last.
    pub(super) fn found_before(&self, name: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let known = self.0.found.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(name.to_owned(), port)).cloned()
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
