//! One name, a hundred sign-ups.

use api::users::{CreateUserRequest, ListUsersRequest, UserRole};
use e2e::{PASSWORD, Pair, Settings, rounds};
use futures::future::join_all;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_sign_ups_of_one_name_in_different_case_one_succeeds() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    for round in 0..rounds(3) {
        let name = format!("contested-{round}");
        let spelled = |number: usize| -> String {
            let upper = |(place, letter): (usize, char)| {
                if number >> (place % 7) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
            };
            name.chars().enumerate().map(upper).collect()
        };
        let outcomes =
            join_all((0..100).map(|number| app.anonymous.insist(e2e::sign_up(&spelled(number))))).await;
        let (taken, made): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_err);
        assert_eq!((made.len(), taken.len()), (1, 99));
        let reasons: Vec<_> =
            taken.into_iter().filter_map(Result::err).map(|refusal| refusal.reason).collect();
        assert_eq!(reasons, ["USERNAME_TAKEN"; 99]);
        let consistency_token =
            made.into_iter().flatten().map(|reply| reply.message.consistency_token).next();
        let request = ListUsersRequest {
            username_prefix: name,
            consistency_token: consistency_token.expect("one was made"),
            ..Default::default()
        };
        assert_eq!(app.admin.ok(request).await.message.users.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sign_ups_and_creations_of_one_name_one_succeeds() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    for round in 0..rounds(5) {
        let name = format!("contested-{round}");
        let create = CreateUserRequest {
            username: name.to_uppercase(),
            password: PASSWORD.into(),
            role: UserRole::Admin.into(),
            request_id: String::new(),
        };
        let creations = join_all((0..20).map(|_| app.super_admin.insist(create.clone())));
        let sign_ups = join_all((0..20).map(|_| app.anonymous.insist(e2e::sign_up(&name))));
        let (created, signed_up) = tokio::join!(creations, sign_ups);
        let refused = created.iter().filter_map(|outcome| outcome.as_ref().err());
        let refused = refused.chain(signed_up.iter().filter_map(|outcome| outcome.as_ref().err()));
        let reasons: Vec<_> = refused.map(|failure| failure.reason.as_str()).collect();
        assert_eq!(reasons, ["USERNAME_TAKEN"; 39]);
        let request = ListUsersRequest {
            username_prefix: name,
            consistency_token: signed_up
                .into_iter()
                .flatten()
                .map(|reply| reply.message.consistency_token)
                .next()
                .unwrap_or_default(),
            ..Default::default()
        };
        let found = app.admin.ok(request).await.message.users;
        let expected = if created.iter().any(Result::is_ok) { UserRole::Admin } else { UserRole::User };
        assert_eq!(found.iter().map(api::users::User::role).collect::<Vec<_>>(), [expected]);
    }
}
