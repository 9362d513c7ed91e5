"""Calls of every kind, as clients make them: each method at least once with success, and each refusal that is cheap."""

import uuid

import client_test
import grpc
from client_test import bearer

PASSWORD = "a long walk by the sea"
OTHER_PASSWORD = "two boats behind an island"


class Caller:
    """Somebody who has an address of each listener, the workload's token and a super admin's password."""

    def __init__(self, auth, users, identity, token, boss):
        self.channels = [grpc.insecure_channel(address) for address in (auth, users, identity)]
        self.auth = client_test.auth.AuthServiceStub(self.channels[0])
        self.users = client_test.users.UsersServiceStub(self.channels[1])
        self.identity = client_test.identity.IdentityProviderServiceStub(self.channels[2])
        self.token, self.boss = token, boss

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for channel in self.channels:
            channel.close()

    def call(self):
        """Everything, in the order that makes it possible."""
        auth, users, identity = client_test.auth, client_test.users, client_test.identity
        name, id = self.signed_up()
        first, second = self.logged_in(name), self.logged_in(name)
        # One more than there may be: the first one is displaced.
        third = self.logged_in(name)
        refused(self.auth.GetCurrentSession, auth.GetCurrentSessionRequest(), first.access_token)
        ok(self.auth.GetCurrentSession, auth.GetCurrentSessionRequest(), third.access_token)
        ok(self.auth.ListSessions, auth.ListSessionsRequest(), third.access_token)
        ok(self.auth.RefreshSession, auth.RefreshSessionRequest(), third.access_token)
        ok(self.auth.RevokeSession, auth.RevokeSessionRequest(session_id=second.session.session_id), third.access_token)
        ok(self.auth.RevokeAllSessions, auth.RevokeAllSessionsRequest(keep_current=True), third.access_token)
        wrong = auth.ChangePasswordRequest(current_password=OTHER_PASSWORD, new_password=PASSWORD)
        refused(self.auth.ChangePassword, wrong, third.access_token)
        right = auth.ChangePasswordRequest(current_password=PASSWORD, new_password=OTHER_PASSWORD)
        changed = ok(self.auth.ChangePassword, right, third.access_token)
        ok(self.auth.LogOut, auth.LogOutRequest(), changed.access_token)

        boss = ok(self.auth.LogIn, auth.LogInRequest(username=self.boss[0], password=self.boss[1])).access_token
        user = users.CreateUserRequest(username=some_name(), password=PASSWORD, role=users.USER_ROLE_USER)
        ok(self.users.CreateUser, user, boss)
        ok(self.users.GetCurrentUser, users.GetCurrentUserRequest(), boss)
        ok(self.users.GetUser, users.GetUserRequest(user_id=id), boss)
        refused(self.users.GetUser, users.GetUserRequest(username=some_name()), boss)
        ok(self.users.ListUsers, users.ListUsersRequest(), boss)
        ok(self.users.GrantAdmin, users.GrantAdminRequest(user_id=id), boss)
        ok(self.users.RevokeAdmin, users.RevokeAdminRequest(user_id=id), boss)
        ok(self.users.SetUserPassword, users.SetUserPasswordRequest(user_id=id, password=PASSWORD), boss)
        common = self.logged_in(name).access_token
        refused(self.users.ListUsers, users.ListUsersRequest(), common)
        ok(self.users.ListUserSessions, users.ListUserSessionsRequest(user_id=id), boss)
        ok(self.users.RevokeUserSessions, users.RevokeUserSessionsRequest(user_id=id), boss)
        refused(self.users.GetCurrentUser, users.GetCurrentUserRequest(), common)
        ok(self.users.InactivateUser, users.InactivateUserRequest(user_id=id), boss)
        refused(self.auth.LogIn, auth.LogInRequest(username=name, password=PASSWORD))
        ok(self.users.ReactivateUser, users.ReactivateUserRequest(user_id=id), boss)

        ok(self.identity.GetAccount, identity.GetAccountRequest(account_id=id), self.token)
        ok(self.identity.CheckCredential, identity.CheckCredentialRequest(username=name, password=PASSWORD), self.token)
        refused(self.identity.GetAccount, identity.GetAccountRequest(account_id=id), "x" * 43)

        refused(self.auth.SignUp, auth.SignUpRequest(username=name, password=PASSWORD))
        refused(self.auth.SignUp, auth.SignUpRequest(username="._", password="short"))
        refused(self.auth.LogIn, auth.LogInRequest(username="", password=""))
        refused(self.auth.LogIn, auth.LogInRequest(username=some_name(), password=PASSWORD))
        for _ in range(7):
            refused(self.auth.LogIn, auth.LogInRequest(username=name, password=OTHER_PASSWORD))
        unknown = self.channels[1].unary_unary(
            "/tandem.users.v1.UsersService/DeleteUser", request_serializer=bytes, response_deserializer=bytes
        )
        refused(unknown, b"")
        self.crowd()

    def crowd(self):
        """More who want a hash than can be served in the time that they may wait: one hash runs at a time."""
        requests = [client_test.auth.SignUpRequest(username=some_name(), password=PASSWORD) for _ in range(200)]
        for call in [self.auth.SignUp.future(request, timeout=60) for request in requests]:
            call.exception()

    def signed_up(self):
        name = some_name()
        return name, ok(self.auth.SignUp, client_test.auth.SignUpRequest(username=name, password=PASSWORD)).user_id

    def logged_in(self, name):
        return ok(self.auth.LogIn, client_test.auth.LogInRequest(username=name, password=PASSWORD))


def some_name():
    """A username that nobody has."""
    return "u" + uuid.uuid4().hex[:15]


def ok(method, request, token=None):
    return method(request, metadata=bearer(token) if token else (), timeout=30)


def refused(method, request, token=None):
    try:
        ok(method, request, token)
    except grpc.RpcError:
        return
    raise AssertionError(f"was not refused: {request}")
