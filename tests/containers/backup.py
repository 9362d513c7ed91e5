"""Steps of the stack's test: a backup that was made while everything served, restored by the commands of docs/containers.md."""

import re
import shutil
import threading
import time

from documented import Shell, blocks
from rotation import PASSWORD, load_on, told

SECONDS_TO_AGREE = 30


class Root:
    """The super admin, as a client of one users-service."""

    def __init__(self, stack, users_address):
        import grpc
        from load import bearer, channel
        from tandem.auth.v1 import auth_service_pb2 as auth
        from tandem.auth.v1 import auth_service_pb2_grpc as auth_grpc
        from tandem.users.v1 import user_pb2 as kinds
        from tandem.users.v1 import users_service_pb2 as users
        from tandem.users.v1 import users_service_pb2_grpc as users_grpc

        self.grpc, self.bearer, self.kinds, self.auth, self.users = grpc, bearer, kinds, auth, users
        self.channels = [channel([stack.auth, stack.auth_2]), channel([users_address])]
        self.to_auth = auth_grpc.AuthServiceStub(self.channels[0])
        self.to_users = users_grpc.UsersServiceStub(self.channels[1])
        self.metadata = bearer(self.log_in("superadmin", stack.super_admin_password))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.channels:
            one.close()

    def log_in(self, username, password=PASSWORD):
        return self.to_auth.LogIn(self.auth.LogInRequest(username=username, password=password), timeout=5).access_token

    def is_refused(self, username):
        """The reason, or nothing."""
        try:
            self.log_in(username)
        except self.grpc.RpcError as error:
            return error.code().name
        return None

    def is_known(self, token):
        request = self.auth.GetCurrentSessionRequest()
        try:
            self.to_auth.GetCurrentSession(request, timeout=5, metadata=self.bearer(token))
        except self.grpc.RpcError as error:
            assert error.code() == self.grpc.StatusCode.UNAUTHENTICATED, error
            return False
        return True

    def create(self, username, role="USER"):
        role = self.kinds.UserRole.Value(f"USER_ROLE_{role}")
        request = self.users.CreateUserRequest(username=username, password=PASSWORD, role=role)
        self.to_users.CreateUser(request, timeout=5, metadata=self.metadata)

    def inactivate(self, username):
        request = self.users.InactivateUserRequest(username=username)
        self.to_users.InactivateUser(request, timeout=5, metadata=self.metadata)

    def everybody(self):
        """By id: name, role and state."""
        request = self.users.ListUsersRequest(page_size=1000)
        page = self.to_users.ListUsers(request, timeout=5, metadata=self.metadata)
        assert not page.next_page_token, "they fit on a page"
        return {user.user_id: (user.username, user.role, user.state) for user in page.users}


class Creating:
    """Somebody creates users one after the other while entered."""

    def __init__(self, stack, name):
        self.stack, self.name, self.count, self.failure = stack, name, 0, None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.create)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def create(self):
        try:
            with Root(self.stack, self.stack.users) as root:
                while not self.ended.wait(0.01):
                    root.create(f"{self.name}.{self.count}", "ADMIN")
                    self.count += 1
        except Exception as failure:  # Whatever it is, the step has to hear of it.
            self.failure = failure


def a_backup_is_made_while_everything_serves(stack):
    shell = Shell(stack)
    [back_up] = blocks("Backup")
    # The last line is users-service's, as it stands there.
    of_auth_service, of_users_service = back_up.rstrip().rsplit("\n", 1)
    assert "tandem_auth" in of_auth_service and "tandem_users" in of_users_service, back_up
    with Root(stack, stack.users) as root:
        root.create("denied.later")
        stack.before = {"denied.later": root.log_in("denied.later")}
        with load_on(stack) as load, Creating(stack, "between") as creating:
            load.go_on(200)
            shell.run(of_auth_service)
            # Whatever the two others are at: this one has its role in the second and no account in the first.
            root.create("created.between", "ADMIN")
            shell.run(f"umask 077\n{of_users_service}")
            load.go_on(100)
        assert not creating.failure, creating.failure
        # What the backup does not have.
        root.inactivate("denied.later")
        root.create("lost.admin", "ADMIN")
        assert root.is_refused("denied.later"), "who was inactivated is let in"
    # The other half of the backup.
    shutil.copy(stack.secrets / "pepper", stack.folder / "pepper.backup")
    sizes = [(stack.folder / f"{name}.backup").stat() for name in ("auth", "users")]
    for size in sizes:
        assert size.st_mode & 0o077 == 0, f"a backup has the mode {size.st_mode:o}"
    return f"{told(load)}; {creating.count} users were created; {sizes[0].st_size} and {sizes[1].st_size} bytes"


def a_backup_is_restored_in_its_place(stack):
    *_, stop, restore, serve = blocks("Restoring")
    shell = Shell(stack)
    shell.run(stop)
    ended = restored(stack, shell, restore, serve)
    with Root(stack, stack.users) as root:
        for username, token in stack.before.items():
            assert not root.is_known(token), f"the session of {username} outlived the restore"
    return f"{ended}; {agreed(stack)}"


def a_backup_serves_in_a_fresh_stack_and_both_services_agree_again(stack):
    on_a_new_machine, _, restore, serve = blocks("Restoring")
    stack.down()
    shutil.rmtree(stack.secrets)
    shell = Shell(stack)
    shell.run(on_a_new_machine)
    ended = restored(stack, shell, restore, serve)
    return f"{ended}; {agreed(stack)}"


def restored(stack, shell, restore, serve):
    said = shell.run(restore)
    ended = re.search(r"(\d+) sessions were ended", said)
    assert ended and int(ended[1]) > 0, said
    assert stack.sql("tandem_auth", "auth-database-url", "select count(*) from sessions").strip() == "0"
    shell.run(f"export COMPOSE_PROFILES=replicas\n{serve}")
    return ended[0]


def agreed(stack):
    """Both users-services show what auth-service has; changes reach auth-service again; nobody else's call fails."""
    rows = stack.sql("tandem_auth", "auth-database-url", "select id, username, state from accounts").splitlines()
    accounts = {id: (username, int(state)) for id, username, state in (row.split("|") for row in rows)}
    for address in (stack.users, stack.users_2):
        with Root(stack, address) as root:
            active, inactive = (root.kinds.UserState.Value(f"USER_STATE_{state}") for state in ("ACTIVE", "INACTIVE"))
            until = time.monotonic() + SECONDS_TO_AGREE
            while flaws := list(disagreements(accounts, root.everybody(), inactive)):
                assert time.monotonic() < until, f"after {SECONDS_TO_AGREE} s: {flaws[:5]}"
                time.sleep(0.2)
            shown = root.everybody()
    gone = shown.keys() - accounts.keys()
    states = {username: state for username, _, state in shown.values()}
    between = next((id for id, (username, *_) in shown.items() if username == "created.between"), None)
    assert between in gone, "who was created between the two backups has no role, or has an account"
    assert "lost.admin" not in states, "who is in no backup is there"
    assert states["denied.later"] == active, "a restore takes an inactivation back"
    with Root(stack, stack.users) as root:
        assert root.is_refused("denied.later") is None
        root.inactivate("denied.later")
        assert root.is_refused("denied.later"), "who was inactivated again is let in"
        assert root.is_refused("lost.admin") == "UNAUTHENTICATED", root.is_refused("lost.admin")
    with load_on(stack) as load:
        load.go_on(300)
    return f"{len(accounts)} accounts agree, {len(gone)} users without one are inactive; {told(load)}"


def disagreements(accounts, shown, inactive):
    for id, (username, state) in accounts.items():
        if id not in shown:
            yield f"{username} is not shown"
        elif (shown[id][0], shown[id][2]) != (username, state):
            yield f"{username} is {state} and shown as {shown[id]}"
    for id in shown.keys() - accounts.keys():
        if shown[id][2] != inactive:
            yield f"{shown[id]} is shown, and there is no such account"


STEPS = [
    a_backup_is_made_while_everything_serves,
    a_backup_is_restored_in_its_place,
    a_backup_serves_in_a_fresh_stack_and_both_services_agree_again,
]
