//! `Authenticate` against the least that a database can be asked, through the same pool.

use auth_core::commands::Authenticate;
use uuid::Uuid;

use super::auth::Auth;
use super::sampling::{Sample, micros, once, ratio};

/// Measures and prints.
pub(crate) async fn run(rounds: u32) {
    let auth = Auth::with_account("alice").await;
    let token = auth.log_in("alice").await;
    let id: Uuid = sqlx::query_scalar("select id from accounts")
        .fetch_one(&mut auth.place.connect().await)
        .await
        .expect("the account");
    let (mut least, mut whole) = (Sample::default(), Sample::default());
    for round in 0..rounds * 10 + 10 {
        let select = once(async {
            let mut connection = auth.database.read().await.expect("a connection");
            let query =
                sqlx::query_scalar::<_, String>("select username from accounts where id = $1").bind(id);
            query.fetch_one(&mut connection).await.expect("reads");
        });
        let select = select.await;
        let check = Authenticate { token: token.expose(), skip_renewal: true };
        let authenticate = once(async {
            check.execute(&auth.commands).await.expect("a working store").expect("a good token");
        });
        let authenticate = authenticate.await;
        if round >= 10 {
            least.add(select);
            whole.add(authenticate);
        }
    }
    println!();
    println!("Authenticate, without the signature, against a bare SELECT by primary key (medians)");
    println!();
    println!("  SELECT by primary key {:>8} us", micros(least.median()));
    println!(
        "  Authenticate          {:>8} us   {:.2}",
        micros(whole.median()),
        ratio(whole.median(), least.median())
    );
}
