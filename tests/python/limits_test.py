#!/usr/bin/env python3
"""What the listeners allow, and how they end, as clients see it that no one here wrote: limits_test.py --tandem PATH"""

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import suite
from tandem_process import Tandem

BINARY: Path
SERVING = health_pb2.HealthCheckResponse.SERVING
CURRENT_SESSION = "/tandem.auth.v1.AuthService/GetCurrentSession"
WATCH_ACCOUNTS = "/tandem.identity.v1.IdentityProviderService/WatchAccounts"
SECONDS = 10


def raw(channel, path):
    """A unary call whose messages are bytes."""
    return channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)


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
        with grpc.insecure_channel(self.tandem.auth) as channel:
            call = raw(channel, CURRENT_SESSION)
            much, too_much = (("x-much", "x" * 7000),), (("x-much", "x" * 17000),)
            self.assertEqual(self.code_of(call, b"", metadata=much), grpc.StatusCode.UNAUTHENTICATED)
            self.assertNotEqual(self.code_of(call, b"", metadata=too_much), grpc.StatusCode.UNAUTHENTICATED)
            self.assertEqual(self.code_of(call, b""), grpc.StatusCode.UNAUTHENTICATED)

    def test_curl_is_answered_over_http2_and_closed_over_anything_else(self):
        url = f"http://{self.tandem.auth}{CURRENT_SESSION}"
        head = ("-H", "content-type: application/grpc", "-H", "te: trailers")
        curl = ("curl", "--silent", "--show-error", "--dump-header", "-", "--max-time", str(SECONDS), *head)
        body = Path(self.folder.name) / "body"
        body.write_bytes(bytes(5))
        said = subprocess.run(
            [*curl, "--http2-prior-knowledge", "--data-binary", f"@{body}", url], capture_output=True, text=True
        )
        self.assertIn("HTTP/2 200", said.stdout, said)
        self.assertIn("grpc-status: 16", said.stdout, said)
        said = subprocess.run([*curl, "--http1.1", "--data-binary", f"@{body}", url], capture_output=True, text=True)
        self.assertNotEqual(said.returncode, 0, said)
        self.assertEqual(said.stdout, "")


class End(unittest.TestCase):
    def test_open_streams_and_silent_peers_do_not_hold_it_up(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
            data = Path(folder) / "data"
            running = end.enter_context(Tandem(BINARY, data))
            host, port = running.auth.split(":")
            silent = socket.create_connection((host, int(port)))
            auth, identity = grpc.insecure_channel(running.auth), grpc.insecure_channel(running.identity)
            health = health_pb2_grpc.HealthStub(auth).Watch(health_pb2.HealthCheckRequest())
            # It listens a moment before it has asked its databases.
            self.assertIn(SERVING, (answer.status for answer in health))
            ours = (("authorization", f"Bearer {(data / 'workload-token').read_text().split()[0]}"),)
            feed = identity.unary_stream(WATCH_ACCOUNTS, request_serializer=bytes, response_deserializer=bytes)
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
            for open_one in (auth, identity, silent):
                open_one.close()
            # Nobody had a call that took long.
            self.assertLess(took, 20 + 1)
            print(f"ended after {took:.1f} s")


def main():
    global BINARY
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tandem", required=True, type=Path, help="the binary of the all-in-one")
    BINARY = arguments.parse_args().tandem.resolve()
    return suite.run()


if __name__ == "__main__":
    sys.exit(main())
