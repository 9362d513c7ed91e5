//! Putting the two services together.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use auth_service::AuthService;
use clock::SystemClock;
use configuration::Layers;
use grpc_kit::Shutdown;
use grpc_kit::listen::reachable;
use grpc_kit::process::{Neighbour, has_listeners};
use telemetry::LogSettings;
use users_service::UsersService;

use crate::data_dir::DataDir;
use crate::first_run::{Generated, make_super_admin};
use crate::welcome::{Addresses, Welcome};

const SOURCE: &str = "the data directory";

/// Where users-service finds auth-service: by default in this process.
const IDENTITY_PROVIDER: &str = "identity_provider.url";

/// The default would be a plaintext connection to a listener that speaks TLS.
const NEEDS_HTTPS: &str = "AUTH__SERVER__INTERNAL_TLS_CERT_FILE needs USERS__IDENTITY_PROVIDER__URL (https://…) and \
                           USERS__IDENTITY_PROVIDER__CA_FILE as well";

/// Whoever says it twice is not to wonder which one is heard.
const ONE_LOG: &str = "the two share one log here, and it is set by AUTH__LOG__LEVEL and AUTH__LOG__FORMAT: leave this out, \
                       or give it the same value";

/// Serves both until a signal, then drains them at once, all but the listener that users-service calls: it goes on until that one
/// has ended, since its last calls need it.
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
    let users_ends = users.server.ends();
    let gone = auth.server.ends().or_longer(users_ends).gone(signals.clone());
    tokio::spawn(async move { telemetry::gone_by(gone.await) });

    let auth_listeners = auth_service::Listeners::bind(&auth.server).await.map_err(named("auth-service"))?;
    let users_listeners =
        users_service::Listeners::bind(&users.server).await.map_err(named("users-service"))?;
    let port = auth_listeners.internal.local_addr()?;
    if users.identity_provider.url == url(auth.server.internal_listen) {
        // Where port 0 was asked for, only now it is known which one it is.
        users.identity_provider.url = url(port);
    }

    let opened = tokio::select! {
        opened = open(auth, users, &directory) => opened?,
        // Asked to end before both are open: a database that does not answer, say. What is half done the next start does again.
        () = signals.requested() => return Ok(()),
    };
    let Opened { auth, users, generated } = opened;

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
    let (stop, stopped) = Shutdown::new();
    let (users_over, users_ended) = Shutdown::new();
    let neighbour = Neighbour { drain: users_ends, ended: users_ended };
    let stop_on_signals = stop.clone();
    tokio::spawn(async move {
        signals.requested().await;
        stop_on_signals.request();
    });
    let until_asked = async {
        let served = users.serve(users_listeners, Some(metrics.clone()), stopped.clone()).await;
        users_over.request();
        stop.request();
        served
    };
    let outlasting_users = async {
        let stopped = stopped.clone();
        let served = auth.serve_beside(neighbour, auth_listeners, Some(metrics.clone()), stopped).await;
        stop.request();
        served
    };
    let (auth_served, users_served) = tokio::join!(outlasting_users, until_asked);
    auth_served?;
    users_served?;
    Ok(())
}

/// Both services, their stores open.
struct Opened {
    auth: AuthService,
    users: UsersService,
    /// The super admin's password, if it was made just now.
    generated: Option<Generated>,
}

/// Opens both, and makes the super admin on the first run. May be given up half-way: the next start makes the rest.
async fn open(
    auth: auth_service::Config,
    users: users_service::Config,
    directory: &DataDir,
) -> Result<Opened, Box<dyn Error>> {
    let clock = SystemClock::default();
    let auth = AuthService::open(auth, clock.clone()).await.map_err(named("auth-service"))?;
    let generated = if directory.is_initialized() {
        None
    } else {
        make_super_admin(&auth, &users, clock.clone()).await?
    };
    let users = UsersService::open(users, clock).await.map_err(named("users-service"))?;
    Ok(Opened { auth, users, generated })
}

/// Reads the settings of both and the variables of OpenTelemetry; the problems of all are said at once, what does not go together
/// among them.
fn settings(directory: &DataDir) -> Result<(auth_service::Config, users_service::Config), String> {
    let auth_layers = || Layers::new("AUTH").defaults(SOURCE, directory.auth_settings()).environment();
    let auth = auth_service::Config::read(auth_layers());
    let log = auth_layers().section("log").read(LogSettings::read).map(|(log, _)| log).ok();

    let mut defaults = directory.users_settings();
    defaults.extend(
        auth.iter().map(|(auth, _)| (IDENTITY_PROVIDER.to_owned(), url(auth.server.internal_listen))),
    );
    defaults.extend(log.iter().flat_map(LogSettings::section));
    let mut users = Layers::new("USERS").defaults(SOURCE, defaults).environment();
    if auth_layers().look(|reader| reader.is_set("server.internal_tls_cert_file"))
        && users
            .look(|reader| reader.url(IDENTITY_PROVIDER, None))
            .is_none_or(|url| url.starts_with("http://"))
    {
        users = users.refuse(IDENTITY_PROVIDER, NEEDS_HTTPS);
    }
    if let Some(log) = log {
        let own = users.look(LogSettings::read);
        for (key, differs) in
            [("log.level", own.level != log.level), ("log.format", own.format != log.format)]
        {
            users = if differs { users.refuse(key, ONE_LOG) } else { users };
        }
    }
    let users = users_service::Config::read(users);

    match (auth, users, telemetry::check_traces()) {
        (Ok((auth, _)), Ok((users, _)), Ok(())) => Ok((auth, users)),
        (auth, users, traces) => {
            let of = |whose, problems| format!("these settings{whose} cannot be used:\n{problems}");
            let auth = auth.err().map(|problems| of(" of auth-service", problems));
            let users = users.err().map(|problems| of(" of users-service", problems));
            let traces = traces.err().map(|problems| of(" of the process", problems));
            Err(auth.into_iter().chain(users).chain(traces).collect())
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
