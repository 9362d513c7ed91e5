//! Putting the two services together.

use std::error::Error;
use std::path::Path;

use auth_service::AuthService;
use clock::SystemClock;
use configuration::Layers;
use grpc_kit::Shutdown;
use grpc_kit::listen::reachable;
use users_service::UsersService;

use crate::data_dir::DataDir;
use crate::first_run::make_super_admin;
use crate::welcome::{Addresses, Welcome};

const SOURCE: &str = "the data directory";

/// Serves both until a signal, then drains them: users-service first, since its last calls need the other.
pub(crate) fn run(data_dir: &Path) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(data_dir))
}

async fn serve(data_dir: &Path) -> Result<(), Box<dyn Error>> {
    let directory = DataDir::open(data_dir)?;
    let auth = Layers::new("AUTH").defaults(SOURCE, directory.auth_settings()).environment();
    let (auth, _) = auth_service::Config::read(auth)?;
    telemetry::init_log(&auth.log)?;
    let metrics = telemetry::record_metrics()?;
    let signals = Shutdown::on_signals()?;

    let auth_listeners = auth_service::Listeners::bind(&auth.server).await?;
    let port = auth_listeners.internal.local_addr()?;
    let mut users = directory.users_settings();
    users.push(("identity_provider.url".to_owned(), format!("http://{}", reachable(port))));
    let users = Layers::new("USERS").defaults(SOURCE, users).environment();
    let (users, _) = users_service::Config::read(users)?;
    let users_listeners = users_service::Listeners::bind(&users.server).await?;

    let clock = SystemClock::default();
    let auth = AuthService::open(auth, clock.clone()).await?;
    let generated = if directory.is_initialized() {
        None
    } else {
        make_super_admin(&auth, &users, clock.clone()).await?
    };
    let users = UsersService::open(users, clock).await?;

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
    welcome.print()?;
    if !directory.is_initialized() {
        directory.set_initialized()?;
    }

    let (stop_auth, auth_stopped) = Shutdown::new();
    let users_first = async {
        let served = users.serve(users_listeners, Some(metrics.clone()), signals).await;
        stop_auth.request();
        served
    };
    let (auth_served, users_served) =
        tokio::join!(auth.serve(auth_listeners, Some(metrics.clone()), auth_stopped), users_first);
    auth_served?;
    users_served?;
    Ok(())
}
