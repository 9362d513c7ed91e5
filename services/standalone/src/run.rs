//! Putting the two services together.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use auth_service::AuthService;
use clock::SystemClock;
use configuration::Layers;
use grpc_kit::Shutdown;
use grpc_kit::listen::reachable;
use grpc_kit::process::has_listeners;
use users_service::UsersService;

use crate::data_dir::DataDir;
use crate::first_run::make_super_admin;
use crate::welcome::{Addresses, Welcome};

const SOURCE: &str = "the data directory";

/// The default would be a plaintext connection to a listener that speaks TLS.
const NEEDS_HTTPS: &str = "AUTH__SERVER__INTERNAL_TLS_CERT_FILE needs USERS__IDENTITY_PROVIDER__URL (https://…) and \
                           USERS__IDENTITY_PROVIDER__CA_FILE as well";

/// Whoever says it twice is not to wonder which one is heard.
const ONE_LOG: &str = "the two share one log here, and it is set by AUTH__LOG__LEVEL and AUTH__LOG__FORMAT: \
                       leave USERS__LOG__LEVEL and USERS__LOG__FORMAT out, or give them the same values";

/// Serves both until a signal, then drains them: users-service first, since its last calls need the other.
pub(crate) fn run(data_dir: &Path) -> Result<(), Box<dyn Error>> {
    grpc_kit::block_on(serve(data_dir))
}

async fn serve(data_dir: &Path) -> Result<(), Box<dyn Error>> {
    let directory = DataDir::open(data_dir)?;
    let (auth, mut users) = settings(&directory)?;
    let _log = telemetry::init_log(&auth.log, grpc_kit::call::fields)?;
    let traces = telemetry::export_traces("tandem")?;
    if let Some(traces) = &traces {
        grpc_kit::trace::record_with(traces.tracer());
    }
    let metrics = telemetry::record_metrics()?;
    let signals = Shutdown::on_signals()?;

    let auth_listeners = auth_service::Listeners::bind(&auth.server).await.map_err(named("auth-service"))?;
    let users_listeners =
        users_service::Listeners::bind(&users.server).await.map_err(named("users-service"))?;
    let port = auth_listeners.internal.local_addr()?;
    if users.identity_provider.url == url(auth.server.internal_listen) {
        // Where port 0 was asked for, only now it is known which one it is.
        users.identity_provider.url = url(port);
    }

    let clock = SystemClock::default();
    let auth = AuthService::open(auth, clock.clone()).await.map_err(named("auth-service"))?;
    let generated = if directory.is_initialized() {
        None
    } else {
        make_super_admin(&auth, &users, clock.clone()).await?
    };
    let users = UsersService::open(users, clock).await.map_err(named("users-service"))?;

    let welcome = Welcome {
        addresses: Addresses {
            auth: auth_listeners.public.local_addr()?,
            port,
            users: users_listeners.public.local_addr()?,
            auth_ops: auth_listeners.ops.local_addr()?,
            users_ops: users_listeners.ops.local_addr()?,
        },
        workload_token: directory.workload_token(),
        super_admin: generated,
    };
    welcome.print().map_err(|error| format!("standard output cannot be written: {error}"))?;
    if !directory.is_initialized() {
        directory.set_initialized()?;
    }

    // Two of auth-service, and users-service's.
    has_listeners(3);
    let (stop_auth, auth_stopped) = Shutdown::new();
    let (stop_users, users_stopped) = Shutdown::new();
    let stop_on_signals = stop_users.clone();
    tokio::spawn(async move {
        signals.requested().await;
        stop_on_signals.request();
    });
    let users_first = async {
        let served = users.serve(users_listeners, Some(metrics.clone()), users_stopped).await;
        stop_auth.request();
        served
    };
    let not_without_auth = async {
        let served = auth.serve(auth_listeners, Some(metrics.clone()), auth_stopped).await;
        stop_users.request();
        served
    };
    let (auth_served, users_served) = tokio::join!(not_without_auth, users_first);
    auth_served?;
    users_served?;
    Ok(())
}

/// Reads the settings of both; the problems of both are said at once.
fn settings(directory: &DataDir) -> Result<(auth_service::Config, users_service::Config), Box<dyn Error>> {
    let auth = Layers::new("AUTH").defaults(SOURCE, directory.auth_settings()).environment();
    let auth = auth_service::Config::read(auth);
    let mut defaults = directory.users_settings();
    if let Ok((auth, _)) = &auth {
        defaults.push(("identity_provider.url".to_owned(), url(auth.server.internal_listen)));
        defaults.extend(auth.log.section());
    }
    let users = users_service::Config::read(Layers::new("USERS").defaults(SOURCE, defaults).environment());
    match (auth, users) {
        (Ok((auth, _)), Ok((users, _))) => {
            if auth.server.internal_tls.is_some() && users.identity_provider.url.starts_with("http://") {
                return Err(NEEDS_HTTPS.into());
            }
            if users.log != auth.log {
                return Err(ONE_LOG.into());
            }
            Ok((auth, users))
        }
        (auth, users) => {
            let auth = auth
                .err()
                .map(|problems| format!("these settings of auth-service cannot be used:\n{problems}"));
            let users = users
                .err()
                .map(|problems| format!("these settings of users-service cannot be used:\n{problems}"));
            Err(auth.into_iter().chain(users).collect::<String>().into())
        }
    }
}

fn url(internal_listen: SocketAddr) -> String {
    format!("http://{}", reachable(internal_listen))
}

/// Both services have settings of the same names.
fn named<E: Error>(service: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{service}: {error}")
}
