//! Asks Tandem who a token's user is: `check-caller ADDRESS TOKEN`

use std::error::Error;
use std::time::Duration;

use api::users::users_service_client::UsersServiceClient;
use api::users::{GetCurrentUserRequest, User};
use tonic::transport::Channel;
use tonic::{Code, Request};

/// The user behind the token, or none. An error when nobody can tell: an outage is not a "no".
async fn caller(mut users: UsersServiceClient<Channel>, token: &str) -> Result<Option<User>, Box<dyn Error>> {
    let mut request = Request::new(GetCurrentUserRequest { skip_renewal: true, ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    request.set_timeout(Duration::from_secs(2));
    match users.get_current_user(request).await {
        Ok(answer) => Ok(answer.into_inner().user),
        Err(status) if status.code() == Code::Unauthenticated => Ok(None),
        Err(status) => Err(status.into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [address, token] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("ADDRESS TOKEN");
    let users = UsersServiceClient::connect(format!("http://{address}")).await?;
    match caller(users, &token).await? {
        Some(user) => println!("{} has the role {}", user.username, user.role().as_str_name()),
        None => println!("nobody"),
    }
    Ok(())
}
