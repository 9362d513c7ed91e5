#!/usr/bin/env python3
"""What the listeners allow, and how they end, as clients see it that no one here wrote: limits_test.py --tandem PATH"""

import argparse
import base64
import contextlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import grpc
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

import suite
from certificates import Authority
from contract import Refusal, auth, details_of, identity
from discretion import framed
from suite import eventually
from tandem_process import ASKED_TWICE, Reserved, Tandem

BINARY: Path
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LOG_IN = "/tandem.auth.v1.AuthService/LogIn"
CURRENT_SESSION = "/tandem.auth.v1.AuthService/GetCurrentSession"
CURRENT_USER = "/tandem.users.v1.UsersService/GetCurrentUser"
WATCH_ACCOUNTS = "/tandem.identity.v1.IdentityProviderService/WatchAccounts"
SECONDS = 10
PASSWORD = "a long walk by the sea"


def raw(channel, path):
    """A unary call whose messages are bytes."""
    return channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


def curl(*arguments, message=None):
    """What it did, and what there is in the head, the body and the trailers of the answer."""
    command = ("curl", "--silent", "--show-error", "--dump-header", "-", "--max-time", str(SECONDS))
    said = subprocess.run([*command, *arguments], input=message, capture_output=True)
    said.stdout, said.stderr = said.stdout.decode(errors="replace"), said.stderr.decode(errors="replace")
    return said


def call_by_curl(address, path, message, *more):
    head = ("--header", "content-type: application/grpc", "--header", "te: trailers", "--data-binary", "@-")
    return curl(*head, *more, f"http://{address}{path}", message=framed(path, message))


def metrics_of(operations):
    return curl(f"http://{operations}/metrics").stdout


def is_shut(address):
    """Whether nobody listens there."""
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def peer_that_takes_no_answer(address):
    """A connection with one call on it, written by hand: by its settings no stream may be sent anything."""
    path = b"/grpc.health.v1.Health/Check"
    # POST and http of the static table; then literals of names by their numbers, and one that has none.
    head = b"\x83\x86\x01\x06tandem\x04" + bytes([len(path)]) + path
    head += b"\x0f\x10\x10application/grpc\x00\x02te\x08trailers"
    host, port = address.split(":")
    peer = socket.create_connection((host, int(port)), SECONDS)
    settings, headers, data = frame(4, 0, 0, b"\0\4\0\0\0\0"), frame(1, 4, 1, head), frame(0, 1, 1, bytes(5))
    peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + headers + data)
    return peer


class Relay:
    """Passes on whatever is said, while entered, and counts the connections: where one ends, a client comes again by itself."""

    def __init__(self, address):
        host, port = address.split(":")
        self.to = (host, int(port))
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self.door.getsockname())
        self.taken = 0

    def __enter__(self):
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.door.close()

    def _take(self):
        # An error is the end of it: the door was closed.
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                self.taken += 1
                server = socket.create_connection(self.to, SECONDS)
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        with contextlib.suppress(OSError):
            while said := source.recv(64 * 1024):
                sink.sendall(said)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def log_in(channel):
    """A token of somebody new."""
    stub = auth.AuthServiceStub(channel)
    stub.SignUp(auth.SignUpRequest(username="somebody", password=PASSWORD), timeout=SECONDS)
    return stub.LogIn(auth.LogInRequest(username="somebody", password=PASSWORD), timeout=SECONDS).access_token


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tandem = Tandem(BINARY, Path(cls.folder.name) / "data").__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.tandem.__exit__()
        cls.folder.cleanup()

    def listeners(self):
        return (
            (self.tandem.auth, "tandem.auth.v1.AuthService"),
            (self.tandem.identity, "tandem.identity.v1.IdentityProviderService"),
            (self.tandem.users, "tandem.users.v1.UsersService"),
        )

    def code_of(self, call, *arguments, **named):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, timeout=SECONDS, **named)
        return caught.exception.code()

    def test_health_lists_what_there_is(self):
        for address, service in self.listeners():
            with grpc.insecure_channel(address) as channel:
                answer = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=SECONDS)
                listed = {name: status.status for name, status in answer.statuses.items()}
                self.assertEqual(listed, {"": SERVING, service: SERVING})

    def test_a_watch_of_an_unknown_service_says_so_and_stays(self):
        for address, _ in self.listeners():
            with grpc.insecure_channel(address) as channel:
                watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="x.Y"))
                self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
                self.assertTrue(watch.is_active())
                watch.cancel()

    def test_a_compressed_request_is_refused_and_the_next_one_is_not(self):
        with grpc.insecure_channel(self.tandem.auth) as channel:
            call = raw(channel, CURRENT_SESSION)
            body = bytes([0x0A, 100]) + b"x" * 100
            refused = self.code_of(call, body, compression=grpc.Compression.Gzip)
            self.assertEqual(refused, grpc.StatusCode.UNIMPLEMENTED)
            self.assertEqual(self.code_of(call, b""), grpc.StatusCode.UNAUTHENTICATED)

    def test_a_message_of_more_than_64_kib_is_refused(self):
        with grpc.insecure_channel(self.tandem.auth) as channel:
            refused = self.code_of(raw(channel, CURRENT_SESSION), b"x" * (64 * 1024 + 1))
            self.assertEqual(refused, grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_a_body_that_does_not_decode_is_the_callers_fault(self):
        with grpc.insecure_channel(self.tandem.auth) as channel:
            refused = self.code_of(raw(channel, CURRENT_SESSION), b"\xff\xff")
            self.assertEqual(refused, grpc.StatusCode.INVALID_ARGUMENT)

    def test_metadata_of_more_than_16_kib_is_refused_and_the_connection_lives_on(self):
        with Relay(self.tandem.auth) as relay, grpc.insecure_channel(relay.address) as channel:
            call = raw(channel, CURRENT_SESSION)
            much, too_much = (("x-much", "x" * 15000),), (("x-much", "x" * 17000),)
            self.assertEqual(self.code_of(call, b"", metadata=much), grpc.StatusCode.UNAUTHENTICATED)
            with self.assertRaisesRegex(grpc.RpcError, "status: 431") as caught:
                call(b"", metadata=too_much, timeout=SECONDS)
            # What gRPC makes of a status of HTTP that it has no code for.
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNKNOWN)
            self.assertEqual(self.code_of(call, b""), grpc.StatusCode.UNAUTHENTICATED)
            self.assertEqual(relay.taken, 1)

    def test_curl_is_answered_over_http2_and_closed_over_anything_else(self):
        said = call_by_curl(self.tandem.auth, CURRENT_SESSION, b"", "--http2-prior-knowledge")
        self.assertIn("HTTP/2 200", said.stdout, said)
        self.assertIn("grpc-status: 16", said.stdout, said)
        said = call_by_curl(self.tandem.auth, CURRENT_SESSION, b"", "--http1.1")
        self.assertNotEqual(said.returncode, 0, said)
        self.assertEqual(said.stdout, "")

    def test_the_server_ends_a_call_whose_deadline_passes(self):
        """curl waits for longer: it knows of no deadline."""
        message = auth.LogInRequest(username="nobody", password=PASSWORD).SerializeToString()
        # A hash takes many times as long as this: a millisecond.
        deadline = ("--http2-prior-knowledge", "--header", "grpc-timeout: 1m")
        said = call_by_curl(self.tandem.auth, LOG_IN, message, *deadline)
        self.assertIn("HTTP/2 200", said.stdout, said)
        self.assertRegex(said.stdout, r"(?m)^grpc-status: 4\r?$", said)
        details = re.search(r"(?m)^grpc-status-details-bin: ([\w+/]+)", said.stdout)[1]
        status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
        self.assertEqual(details_of(status)["ErrorInfo"].reason, "ERROR_REASON_DEADLINE_EXCEEDED")


class Tls(unittest.TestCase):
    """Everything over TLS, between the two services as well; workloads may be known by their certificates."""

    USERS = "spiffe://tandem.test/ns/tandem/sa/users-service"
    SHOP = "orders.shop.test"

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = Authority(Path(folder.name), "authority")
        cls.stranger = Authority(Path(folder.name), "stranger")
        certificate, key = cls.authority.issue("server", "IP:127.0.0.1")
        its_certificate, its_key = cls.authority.issue("users-service", f"URI:{cls.USERS}")
        # users-service has to be told where the other one is before there is anybody to ask.
        reserved = Reserved()
        cls.addClassCleanup(reserved.__exit__)
        internal = reserved.address
        # users-service sends the token of the data folder, which is nobody's: its certificate is all that it is known by.
        cls.token, its_file = "the-token-of-somebody-else-and-a-long-one", Path(folder.name) / "token"
        its_file.touch(mode=0o600)
        its_file.write_text(cls.token)
        settings = {
            "AUTH__WORKLOAD__TOKEN_FILE": its_file,
            "AUTH__SERVER__TLS_CERT_FILE": certificate,
            "AUTH__SERVER__TLS_KEY_FILE": key,
            "AUTH__SERVER__INTERNAL_LISTEN": internal,
            "AUTH__SERVER__INTERNAL_TLS_CERT_FILE": certificate,
            "AUTH__SERVER__INTERNAL_TLS_KEY_FILE": key,
            "AUTH__SERVER__INTERNAL_CLIENT_CA_FILE": cls.authority.file,
            "AUTH__WORKLOAD__CLIENTS__0__NAME": "users-service",
            "AUTH__WORKLOAD__CLIENTS__0__SAN": cls.USERS,
            "AUTH__WORKLOAD__CLIENTS__0__ALLOW": "full",
            "AUTH__WORKLOAD__CLIENTS__1__NAME": "shop",
            "AUTH__WORKLOAD__CLIENTS__1__SAN": cls.SHOP,
            "AUTH__WORKLOAD__CLIENTS__1__ALLOW": "verify",
            "USERS__SERVER__TLS_CERT_FILE": certificate,
            "USERS__SERVER__TLS_KEY_FILE": key,
            "USERS__IDENTITY_PROVIDER__URL": f"https://{internal}",
            "USERS__IDENTITY_PROVIDER__CA_FILE": cls.authority.file,
            "USERS__IDENTITY_PROVIDER__CLIENT_CERT_FILE": its_certificate,
            "USERS__IDENTITY_PROVIDER__CLIENT_KEY_FILE": its_key,
        }
        settings = {name: str(value) for name, value in settings.items()}
        cls.tandem = Tandem(BINARY, Path(folder.name) / "data", settings).__enter__()
        cls.addClassCleanup(cls.tandem.__exit__)

    def channel(self, address, trusted, shown=None):
        """`shown` are the files of a certificate."""
        certificate, key = (file.read_bytes() for file in shown) if shown else (None, None)
        credentials = grpc.ssl_channel_credentials(trusted.file.read_bytes(), key, certificate)
        return self.closed_at_the_end(grpc.secure_channel(address, credentials))

    def closed_at_the_end(self, channel):
        self.addCleanup(channel.close)
        return channel

    def refused(self, call, *arguments, **named):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, timeout=SECONDS, **named)
        return Refusal(caught.exception)

    def assert_nobody_answered(self, refusal):
        """The client has made this up: errors of ours carry details."""
        self.assertEqual((refusal.code, refusal.details), (grpc.StatusCode.UNAVAILABLE, {}), refusal.text)

    def test_whoever_trusts_the_authority_is_answered_and_nobody_else(self):
        token = log_in(self.channel(self.tandem.auth, self.authority))
        for address, path in ((self.tandem.auth, CURRENT_SESSION), (self.tandem.users, CURRENT_USER)):
            with self.subTest(path):
                call = raw(self.channel(address, self.authority), path)
                self.assertTrue(call(b"", metadata=bearer(token), timeout=SECONDS))
                plaintext = self.closed_at_the_end(grpc.insecure_channel(address))
                for channel in (self.channel(address, self.stranger), plaintext):
                    self.assert_nobody_answered(self.refused(raw(channel, path), b"", metadata=bearer(token)))

    def test_a_workload_is_what_its_certificate_says(self):
        check = identity.CheckCredentialRequest(username="somebody", password=PASSWORD)
        authenticate = identity.AuthenticateRequest(access_token="nobodys")

        def port(shown=None, trusted=self.authority):
            return identity.IdentityProviderServiceStub(self.channel(self.tandem.identity, trusted, shown))

        full = port(self.authority.issue("full", f"URI:{self.USERS}"))
        self.assertFalse(full.CheckCredential(check, timeout=SECONDS).violations)

        shop = port(self.authority.issue("shop", f"DNS:{self.SHOP}"))
        answer = shop.Authenticate(authenticate, timeout=SECONDS)
        self.assertEqual(answer.denied.reason, identity.DENIAL_REASON_MALFORMED)
        refusal = self.refused(shop.CheckCredential, check)
        self.assertEqual(refusal.code, grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual(refusal.reason, "ERROR_REASON_WORKLOAD_NOT_ALLOWED")

        # The common name stands for nothing, and so does a part of a name.
        another = self.authority.issue("another", "DNS:shop.test", common_name=self.SHOP)
        for nobody in (port(), port(another)):
            for call, request in ((nobody.Authenticate, authenticate), (nobody.CheckCredential, check)):
                refusal = self.refused(call, request)
                self.assertEqual(refusal.code, grpc.StatusCode.UNAUTHENTICATED)
                self.assertEqual(refusal.reason, "ERROR_REASON_WORKLOAD_UNAUTHENTICATED")
        # A token is as good.
        port().CheckCredential(check, metadata=bearer(self.token), timeout=SECONDS)

        # By the word of somebody whom the service does not know, and for a client that does not know the service.
        forged = port(self.stranger.issue("forged", f"URI:{self.USERS}"))
        self.assert_nobody_answered(self.refused(forged.CheckCredential, check))
        distrustful = port(self.authority.issue("distrustful", f"URI:{self.USERS}"), self.stranger)
        self.assert_nobody_answered(self.refused(distrustful.CheckCredential, check))


class End(unittest.TestCase):
    def test_open_streams_and_silent_peers_do_not_hold_it_up(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
            data = Path(folder) / "data"
            running = end.enter_context(Tandem(BINARY, data))
            host, port = running.auth.split(":")
            silent = socket.create_connection((host, int(port)))
            public, internal = grpc.insecure_channel(running.auth), grpc.insecure_channel(running.identity)
            health = health_pb2_grpc.HealthStub(public).Watch(health_pb2.HealthCheckRequest())
            # It listens a moment before it has asked its databases.
            self.assertIn(SERVING, (answer.status for answer in health))
            ours = bearer(running.workload_token())
            feed = internal.unary_stream(WATCH_ACCOUNTS, request_serializer=bytes, response_deserializer=bytes)
            feed = feed(b"", metadata=ours)
            next(feed)
            asked = time.monotonic()
            # Ends it, and raises unless it ends well.
            end.close()
            took = time.monotonic() - asked
            for stream in (health, feed):
                with self.assertRaises(grpc.RpcError) as caught:
                    for _ in stream:
                        pass
                self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
            for open_one in (public, internal, silent):
                open_one.close()
            # Nobody had a call that took long.
            self.assertLess(took, 20 + 1)
            print(f"ended after {took:.1f} s")

    def test_whatever_would_hold_it_up_at_the_end_shares_one_second(self):
        """A call at each listener whose answer is never taken, a collector that says nothing, a log that nobody reads."""
        with (
            tempfile.TemporaryDirectory() as folder,
            socket.create_server(("127.0.0.1", 0)) as silent,
            contextlib.ExitStack() as end,
        ):
            settings = {
                "AUTH__SERVER__LAME_DUCK": "1s",
                "USERS__SERVER__LAME_DUCK": "1s",
                "AUTH__SERVER__DRAIN": "4s",
                "USERS__SERVER__DRAIN": "4s",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            }
            unread = Tandem(BINARY, Path(folder) / "data", settings, reads_its_log=False)
            running = end.enter_context(unread)
            with grpc.insecure_channel(running.users) as channel:
                # Their lines are more than a pipe holds.
                for _ in range(500):
                    with self.assertRaises(grpc.RpcError):
                        raw(channel, CURRENT_USER)(b"", timeout=SECONDS)
            listeners = (running.auth, running.identity, running.users)
            peers = [end.enter_context(peer_that_takes_no_answer(listener)) for listener in listeners]
            asked = time.monotonic()
            running.ask_to_end()
            self.assertEqual(running.process.wait(2 * SECONDS), 0)
            took = time.monotonic() - asked
            self.assertEqual(len(peers), 3)
        self.assertGreaterEqual(took, 1 + 4, "nobody held it up")
        self.assertLessEqual(took, 1 + 4 + 1)
        print(f"ended after {took:.1f} s")

    def test_a_call_under_way_when_it_ends_still_reaches_the_other_service(self):
        self.lets_a_call_under_way_reach_the_other_service(signal.SIGTERM)

    def test_an_interrupt_is_answered_with_a_drain_as_well(self):
        """Whoever started it by hand ends it with Ctrl+C."""
        self.lets_a_call_under_way_reach_the_other_service(signal.SIGINT)

    def test_a_second_signal_ends_it_at_once_whichever_the_two_are(self):
        # It would be there for a minute.
        patient = {"AUTH__SERVER__LAME_DUCK": "1m", "USERS__SERVER__LAME_DUCK": "1m"}
        interrupt, terminate = signal.SIGINT, signal.SIGTERM
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        data = Path(folder.name) / "data"
        for first, second in (
            (interrupt, interrupt),
            (interrupt, terminate),
            (terminate, interrupt),
            (terminate, terminate),
        ):
            with self.subTest(f"{first.name}, {second.name}"):
                with self.assertRaisesRegex(RuntimeError, f"^tandem ended with {ASKED_TWICE}:"):
                    with Tandem(BINARY, data, patient) as running:
                        running.ask_to_end(first)
                        for operations in (running.auth_ops, running.users_ops):
                            eventually("the end to begin", lambda: self.is_draining(operations))
                        running.process.send_signal(second)
                        # Who leaves waits for its end.

    def is_draining(self, operations):
        return curl(f"http://{operations}/readyz").stdout.endswith("draining")

    def lets_a_call_under_way_reach_the_other_service(self, asked_to_end_by):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
            running = end.enter_context(Tandem(BINARY, Path(folder) / "data"))
            public = end.enter_context(grpc.insecure_channel(running.auth))
            others = end.enter_context(grpc.insecure_channel(running.users))
            token = log_in(public)
            goes_on = threading.Event()

            def message():
                goes_on.wait(SECONDS)
                yield b""

            late = others.stream_unary(CURRENT_USER, request_serializer=bytes, response_deserializer=bytes)
            answer = late.future(message(), metadata=bearer(token), timeout=2 * SECONDS)
            begun = re.compile(r"^grpc_server_started_total\{.*GetCurrentUser.*\} 1$", re.MULTILINE)
            eventually("the call to arrive", lambda: begun.search(metrics_of(running.users_ops)))
            running.ask_to_end(asked_to_end_by)
            eventually("the door to be shut", lambda: is_shut(running.auth) and is_shut(running.users))
            self.assertFalse(is_shut(running.identity), "users-service may still need it")
            goes_on.set()
            self.assertTrue(answer.result())
            self.assertEqual(running.process.wait(SECONDS), 0)

    def probed(self, operations, path):
        """The status."""
        said = curl("--output", "/dev/null", f"http://{operations}{path}")
        return said.stdout.split()[1]

    def statuses(self, listeners):
        """What each listener says of itself and of what it serves, to somebody who has just come."""
        found = set()
        for address, service in listeners:
            with grpc.insecure_channel(address) as channel:
                for asked in ("", service):
                    request = health_pb2.HealthCheckRequest(service=asked)
                    found.add(health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS).status)
        return found

    def test_probers_hear_of_the_end_before_it_and_calls_are_answered_meanwhile(self):
        # Long enough to look at both, whatever else the machine does: both end at once.
        lame = {"AUTH__SERVER__LAME_DUCK": "9s", "USERS__SERVER__LAME_DUCK": "9s"}
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
            running = end.enter_context(Tandem(BINARY, Path(folder) / "data", lame))
            public = end.enter_context(grpc.insecure_channel(running.auth))
            others = end.enter_context(grpc.insecure_channel(running.users))
            of_users = ((running.users, "tandem.users.v1.UsersService"),)
            of_auth = ((running.auth, "tandem.auth.v1.AuthService"),)
            internal = ((running.identity, "tandem.identity.v1.IdentityProviderService"),)
            token = log_in(public)

            both = (
                (of_users, running.users_ops, others, CURRENT_USER),
                (of_auth, running.auth_ops, public, CURRENT_SESSION),
            )
            watches = []
            for listeners, operations, channel, _ in both:
                # It listens a moment before it has asked its database.
                eventually("a start", lambda: self.statuses(listeners) == {SERVING})
                self.assertEqual(self.probed(operations, "/readyz"), "200")
                self.assertEqual(self.probed(operations, "/livez"), "200")
                watches.append(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
                self.assertEqual(next(watches[-1]).status, SERVING)
            eventually("a start", lambda: self.statuses(internal) == {SERVING})
            running.ask_to_end()
            for listeners, operations, channel, path in both:
                eventually("the end to begin", lambda: self.statuses(listeners) == {NOT_SERVING})
                self.assertEqual(self.probed(operations, "/readyz"), "503")
                self.assertEqual(self.probed(operations, "/livez"), "200")
                self.assertTrue(raw(channel, path)(b"", metadata=bearer(token), timeout=SECONDS))
                self.assertEqual(self.statuses(listeners), {NOT_SERVING})
            # It serves users-service until that has ended.
            self.assertEqual(self.statuses(internal), {SERVING})
            for watch in watches:
                self.assertEqual(next(watch).status, NOT_SERVING)
                with self.assertRaises(grpc.RpcError) as caught:
                    next(watch)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(running.process.wait(2 * SECONDS), 0)


def main():
    global BINARY
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tandem", required=True, type=Path, help="the binary of the all-in-one")
    BINARY = arguments.parse_args().tandem.resolve()
    return suite.run()


if __name__ == "__main__":
    sys.exit(main())
