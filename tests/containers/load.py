"""Clients that call without a pause, and what became of every call."""

import collections
import json
import threading
import time

import grpc
from tandem.auth.v1 import auth_service_pb2 as auth
from tandem.auth.v1 import auth_service_pb2_grpc as auth_grpc
from tandem.users.v1 import users_service_pb2 as users
from tandem.users.v1 import users_service_pb2_grpc as users_grpc

# To every address in turn, as a client with a name for several replicas does. No retries but those that gRPC makes for calls
# that no server has seen.
OPTIONS = [
    # Else it is the list of addresses, which is no authority: a call with it is refused as malformed.
    ("grpc.default_authority", "tandem"),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # So that each client has connections of its own.
    ("grpc.use_local_subchannel_pool", 1),
]
CLIENTS = 4
SECONDS_BETWEEN_CALLS = 0.02
SECONDS_BETWEEN_LOG_INS = 0.5
TIMEOUT = 5

Failure = collections.namedtuple("Failure", "begin end call code message")


def channel(addresses):
    return grpc.insecure_channel("ipv4:" + ",".join(addresses), OPTIONS)


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


def sign_up(stub, username, password):
    """Whether or not there is one already."""
    try:
        stub.SignUp(auth.SignUpRequest(username=username, password=password), timeout=TIMEOUT, wait_for_ready=True)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise


class Load:
    """Runs while entered: clients that ask both services who they are, and one that logs in again and again."""

    def __init__(self, auth_addresses, users_addresses, username, other_username, password):
        self.auth_addresses, self.users_addresses = auth_addresses, users_addresses
        self.username, self.other_username, self.password = username, other_username, password
        self.calls = collections.Counter()
        self.failures = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = []

    def __enter__(self):
        with channel(self.auth_addresses) as to_auth:
            stub = auth_grpc.AuthServiceStub(to_auth)
            for username in (self.username, self.other_username):
                sign_up(stub, username, self.password)
            log_in = stub.LogIn(auth.LogInRequest(username=self.username, password=self.password), timeout=TIMEOUT)
        self.threads = [threading.Thread(target=self.ask, args=[log_in.access_token]) for _ in range(CLIENTS)]
        self.threads.append(threading.Thread(target=self.log_in))
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def ask(self, token):
        with channel(self.auth_addresses) as to_auth, channel(self.users_addresses) as to_users:
            session = auth_grpc.AuthServiceStub(to_auth).GetCurrentSession
            user = users_grpc.UsersServiceStub(to_users).GetCurrentUser
            while not self.ended.wait(SECONDS_BETWEEN_CALLS):
                self.call("GetCurrentSession", session, auth.GetCurrentSessionRequest(), bearer(token))
                self.call("GetCurrentUser", user, users.GetCurrentUserRequest(), bearer(token))

    def log_in(self):
        # Somebody else: one log-in more than a user may have sessions ends the oldest.
        request = auth.LogInRequest(username=self.other_username, password=self.password)
        with channel(self.auth_addresses) as to_auth:
            stub = auth_grpc.AuthServiceStub(to_auth)
            while not self.ended.wait(SECONDS_BETWEEN_LOG_INS):
                answer = self.call("LogIn", stub.LogIn, request, ())
                # Every replica in turn: not only the one that signed it has to know a new token.
                for _ in self.auth_addresses if answer else ():
                    metadata = bearer(answer.access_token)
                    self.call("GetCurrentSession", stub.GetCurrentSession, auth.GetCurrentSessionRequest(), metadata)

    def call(self, name, method, request, metadata):
        """The answer, or none."""
        begin = time.monotonic()
        answer = failure = None
        try:
            answer = method(request, timeout=TIMEOUT, metadata=metadata)
        except grpc.RpcError as error:
            failure = Failure(begin, time.monotonic(), name, error.code().name, error.details())
        with self.lock:
            self.calls[name] += 1
            if failure:
                self.failures.append(failure)
        return answer

    def made(self):
        with self.lock:
            return sum(self.calls.values())

    def go_on(self, calls):
        """Waits until so many more were made."""
        until = self.made() + calls
        while self.made() < until:
            self.ended.wait(0.05)

    def what_failed(self):
        """For a reader; says nothing if nothing did."""
        kinds = collections.Counter((failure.call, failure.code, failure.message) for failure in self.failures)
        told = (f"{count} {call} {code} ({message})" for (call, code, message), count in kinds.items())
        return "".join(f"; {one}" for one in told)
