#!/usr/bin/env python3
"""Many calls at a time, over many connections, by a client that no one here wrote and that knows nothing of gRPC.

    load_test.py --tandem PATH --h2load PATH

h2load (of nghttp2) counts what HTTP/2 says: statuses and streams. What gRPC says is counted by the service, in its
metrics and in its log. Run by `tests/run python`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from collections import Counter
from pathlib import Path

import grpc

import suite
from discretion import framed
from suite import PATIENCE, eventually
from tandem_process import Tandem

BINARY: Path
H2LOAD: Path
PASSWORD = "a long walk by the sea"
AUTHENTICATE = "/tandem.identity.v1.IdentityProviderService/Authenticate"
CURRENT_SESSION = "/tandem.auth.v1.AuthService/GetCurrentSession"
CURRENT_USER = "/tandem.users.v1.UsersService/GetCurrentUser"
WATCH_HEALTH = "/grpc.health.v1.Health/Watch"
# What one connection may have at a time.
MOST_STREAMS = 200


def text_field(number, text):
    """A field of a message, of less than 16 KiB."""
    text = text.encode()
    length = bytes([len(text)]) if len(text) < 128 else bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    return bytes([number << 3 | 2]) + length + text


class Load:
    """What h2load did."""

    COUNTS = re.compile(r"^requests: (.*)$", re.MULTILINE)
    STATUSES = re.compile(r"^status codes: (.*)$", re.MULTILINE)
    COUNT = re.compile(r"(\d+) (\w+)")

    def __init__(self, said):
        self.said = said
        self.requests = self._counts(self.COUNTS)
        self.statuses = self._counts(self.STATUSES)

    def _counts(self, line):
        found = line.search(self.said)
        assert found, f"h2load did not say what came of it:\n{self.said}"
        return {name: int(count) for count, name in self.COUNT.findall(found[1])}


class Loaded(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.data = self.folder / "data"

    def started(self):
        # By default users-service gives auth-service 2 s for an answer, and hundreds of calls may wait for longer here.
        return Tandem(BINARY, self.data, {"USERS__IDENTITY_PROVIDER__TIMEOUT": "20s"})

    def h2load(self, address, path, message=b"", bearer=None, **options):
        """Starts it: requests=…, clients=…, streams=… of each client at a time."""
        body = self.folder / "body"
        body.write_bytes(framed(path, message, bearer or ""))
        head = ["content-type: application/grpc", "te: trailers", "grpc-timeout: 30S"]
        if bearer:
            head.append(f"authorization: Bearer {bearer}")
        started = subprocess.Popen(
            [
                H2LOAD,
                *("--requests", str(options["requests"])),
                *("--clients", str(options["clients"])),
                *("--max-concurrent-streams", str(options["streams"])),
                *("--data", body),
                *(part for line in head for part in ("--header", line)),
                f"http://{address}{path}",
            ],
            # The libraries that were unpacked beside it, if it is none that is installed.
            env=os.environ | {"LD_LIBRARY_PATH": str(H2LOAD.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(started.wait)
        self.addCleanup(started.kill)
        self.addCleanup(started.stdout.close)
        return started

    def log_in(self, tandem):
        """A token of somebody new. Messages are written by hand, and the token is told by how it looks."""
        message = text_field(1, "somebody") + text_field(2, PASSWORD)
        with grpc.insecure_channel(tandem.auth) as channel:
            for method in ("SignUp", "LogIn"):
                call = channel.unary_unary(
                    f"/tandem.auth.v1.AuthService/{method}", request_serializer=bytes, response_deserializer=bytes
                )
                answer = call(message, timeout=PATIENCE)
        return re.search(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+", answer)[0].decode()

    def counted(self, tandem, family, path, code=None):
        """What the metrics say of a method."""
        service, method = path[1:].split("/")
        with urllib.request.urlopen(f"http://{tandem.auth_ops}/metrics", timeout=PATIENCE) as page:
            lines = page.read().decode().splitlines()
        parts = [f'grpc_service="{service}"', f'grpc_method="{method}"'] + ([f'grpc_code="{code}"'] if code else [])
        samples = [line for line in lines if line.startswith(family + "{") and all(part in line for part in parts)]
        self.assertTrue(samples, f"no {family} of {path}")
        return sum(int(line.rpartition(" ")[2]) for line in samples)


class Calls(Loaded):
    def test_every_one_of_many_at_a_time_is_answered(self):
        with self.started() as tandem:
            token = self.log_in(tandem)
            for address, path, message, bearer in (
                (tandem.identity, AUTHENTICATE, text_field(1, token), tandem.workload_token()),
                (tandem.auth, CURRENT_SESSION, b"", token),
                (tandem.users, CURRENT_USER, b"", token),
            ):
                with self.subTest(path):
                    before = self.counted(tandem, "grpc_server_handled_total", path, "OK")
                    said, _ = self.h2load(
                        address, path, message, bearer, requests=2000, clients=20, streams=40
                    ).communicate(timeout=PATIENCE)
                    load = Load(said)
                    self.assertEqual((load.requests["succeeded"], load.statuses["2xx"]), (2000, 2000), said)
                    self.assertEqual((load.requests["failed"], load.requests["errored"]), (0, 0), said)
                    after = self.counted(tandem, "grpc_server_handled_total", path, "OK")
                    # The metrics see the port's own calls too: those of users-service.
                    self.assertGreaterEqual(after - before, 2000, path)
                    if path != AUTHENTICATE:
                        self.assertEqual(after - before, 2000, path)

    def test_no_connection_has_more_calls_at_a_time_than_it_may(self):
        clients = 2
        with self.started() as tandem:
            # Calls that do not end: whoever has as many as it may waits with the others.
            watching = self.h2load(tandem.auth, WATCH_HEALTH, requests=1200, clients=clients, streams=600)
            started = lambda: self.counted(tandem, "grpc_server_started_total", WATCH_HEALTH)
            ended = lambda: self.counted(tandem, "grpc_server_handled_total", WATCH_HEALTH)
            eventually("as many as there may be", lambda: started() >= clients * MOST_STREAMS)
            # Whatever else they would have been let is there by the end of another client's many calls.
            said, _ = self.h2load(
                tandem.auth, CURRENT_SESSION, bearer="nobodys", requests=500, clients=1, streams=100
            ).communicate(timeout=PATIENCE)
            self.assertEqual(Load(said).statuses["2xx"], 500, said)
            self.assertEqual((started(), ended()), (clients * MOST_STREAMS, 0))
            self.assertIsNone(watching.poll(), "it has to wait")
            watching.kill()
            eventually("all to be over, when nobody waits for them", lambda: ended() == clients * MOST_STREAMS)


class End(Loaded):
    def test_no_call_is_lost_when_the_service_ends(self):
        requests = 200_000
        with self.started() as tandem:
            loading = self.h2load(
                *(tandem.identity, AUTHENTICATE, text_field(1, self.log_in(tandem)), tandem.workload_token()),
                **{"requests": requests, "clients": 10, "streams": 40},
            )
            handled = lambda: self.counted(tandem, "grpc_server_handled_total", AUTHENTICATE, "OK")
            eventually("the load", lambda: handled() > 500)
            # Ends it, and raises unless it ends well.
        said, _ = loading.communicate(timeout=PATIENCE)
        load = Load(said)
        calls = (json.loads(line) for line in tandem.log)
        of_ours = ("call", "IdentityProviderService", "Authenticate")
        codes = Counter(
            line["code"]
            for line in calls
            if (line.get("message"), line.get("rpc.service", "").split(".")[-1], line.get("rpc.method")) == of_ours
        )
        print(f"{load.requests}, {load.statuses}; the service says {dict(codes)}")
        self.assertGreater(load.requests["succeeded"], 500, said)
        self.assertLess(load.requests["succeeded"], requests, "it had ended before the service did")
        # Every call that was begun was answered, and every answer that was given was heard.
        self.assertEqual(codes.keys(), {"OK"})
        self.assertEqual(codes["OK"], load.requests["succeeded"], said)
        self.assertEqual(load.statuses, {"2xx": load.requests["succeeded"], "3xx": 0, "4xx": 0, "5xx": 0}, said)
        # The rest were never sent: the server said in time that it takes no more.
        self.assertEqual(load.requests["started"], load.requests["done"], said)


def main():
    global BINARY, H2LOAD
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tandem", required=True, type=Path, help="the binary of the all-in-one")
    arguments.add_argument("--h2load", required=True, type=Path, help="h2load of nghttp2")
    arguments = arguments.parse_args()
    BINARY, H2LOAD = arguments.tandem.resolve(), arguments.h2load.resolve()
    return suite.run()


if __name__ == "__main__":
    sys.exit(main())
