use super::*;

fn request() -> pb::ListUsersRequest {
    pb::ListUsersRequest::default()
}

fn fields(error: Error) -> Vec<(String, String)> {
    let Error::InvalidField(broken) = error else { panic!("{error}") };
    broken.into_iter().map(|one| (one.field, one.reason)).collect()
}

fn pair(field: &str, reason: &str) -> (String, String) {
    (field.to_owned(), reason.to_owned())
}

#[test]
fn an_empty_request_lists_the_latest_changes_first() {
    let (query, token) = list_users(&request()).unwrap();
    assert_eq!(query.order, Order { by: SortBy::UpdateTime, direction: Direction::Descending });
    assert_eq!((query.page_size, query.skip, token), (PageSize::DEFAULT, 0, None));
}

#[test]
fn every_order_can_be_asked_for_both_ways_and_nothing_else() {
    for name in ["username", "role", "state", "create_time", "update_time"] {
        assert_eq!(parse_order(name).unwrap().direction, Direction::Ascending);
        assert_eq!(parse_order(&format!("{name} desc")).unwrap().direction, Direction::Descending);
    }
    for other in
        ["name", "username asc", "username  desc", " username", "username desc,role", "desc", "USERNAME"]
    {
        assert_eq!(parse_order(other), Err(Rule::UnknownOrder), "{other}");
    }
}

#[test]
fn everything_that_is_wrong_is_named_with_its_place_in_a_list() {
    let request = pb::ListUsersRequest {
        page_size: -1,
        skip: 10_001,
        order_by: "age".into(),
        roles: vec![1, 0, 9],
        states: vec![3],
        username_prefix: "a%".into(),
        consistency_token: "x".into(),
        ..request()
    };
    let expected = [
        pair("page_size", "NEGATIVE"),
        pair("skip", "OUT_OF_RANGE"),
        pair("order_by", "UNKNOWN_ORDER"),
        pair("roles[1]", "UNSPECIFIED"),
        pair("roles[2]", "UNKNOWN_VALUE"),
        pair("states[0]", "UNKNOWN_VALUE"),
        pair("username_prefix", "INVALID_CHARACTER"),
        pair("consistency_token", "NOT_A_CONSISTENCY_TOKEN"),
    ];
    assert_eq!(fields(list_users(&request).unwrap_err()), expected);
}

#[test]
fn repeated_filters_count_once() {
    let (query, _) = list_users(&pb::ListUsersRequest { roles: vec![2, 1, 2], ..request() }).unwrap();
    assert_eq!(query.filter.roles, [Role::Admin, Role::User]);
}

#[test]
fn a_target_is_an_id_a_name_or_missing() {
    use pb::grant_admin_request::User;
    let ask = |user| grant_admin(pb::GrantAdminRequest { user, etag: String::new() });
    assert!(ask(Some(User::Username("Alice".into()))).is_ok());
    let missing = fields(ask(None).unwrap_err());
    assert_eq!(missing, [pair("user", "REQUIRED")]);
    let id = fields(ask(Some(User::UserId("me".into()))).unwrap_err());
    assert_eq!(id, [pair("user_id", "NOT_A_UUID")]);
    let name = fields(ask(Some(User::Username("a b".into()))).unwrap_err());
    assert_eq!(name, [pair("username", "TOO_SHORT"), pair("username", "INVALID_CHARACTER")]);
}
