"""How the real all-in-one starts, and when it refuses to: start_test.py --tandem PATH"""

import argparse
import base64
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
import unittest
import uuid
from pathlib import Path

import grpc

import discretion
import suite
import tandem_process
from contract import auth, users
from tandem_process import Tandem

BINARY: Path
GIVEN = "a password that was given"


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


def log_in(started, password):
    """Whether the super admin's password is this one."""
    with grpc.insecure_channel(started.auth) as channel:
        try:
            request = auth.LogInRequest(username="superadmin", password=password)
            auth.AuthServiceStub(channel).LogIn(request, timeout=10)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
            return False
    return True


class Start(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name) / "data"

    def started(self, settings=None):
        return Tandem(BINARY, self.data, settings)

    def refusal(self, settings=None):
        return tandem_process.refusal(BINARY, self.data, settings)

    def test_the_generated_password_is_printed_once_and_never_logged(self):
        with self.started() as first:
            password = first.generated_password
            self.assertTrue(log_in(first, password))
        self.assertNotIn(password, "".join(first.log))
        with self.started() as second:
            self.assertIsNone(second.generated_password)
            self.assertTrue(log_in(second, password))
        self.assertNotIn(password, "".join(second.welcome + second.log))

    def test_a_given_password_is_used_and_shown_nowhere(self):
        with self.started({"TANDEM_SUPER_ADMIN_PASSWORD": GIVEN}) as given:
            self.assertTrue(log_in(given, GIVEN))
        self.assertNotIn(GIVEN, "".join(given.welcome + given.log))

    def test_a_given_password_that_breaks_the_rules_is_explained(self):
        said = self.refusal({"TANDEM_SUPER_ADMIN_PASSWORD": "too short"})
        self.assertIn("password must have at least 15 characters", said)
        self.assertNotIn("too short", said)
        with self.started() as after:
            self.assertTrue(log_in(after, after.generated_password))

    def test_a_first_run_that_was_killed_goes_on(self):
        with self.started() as first:
            password = first.generated_password
        # What a kill before the end of the first run leaves: everything but the mark of its end.
        (self.data / "initialized").unlink()
        with self.started() as second:
            self.assertTrue(log_in(second, second.generated_password))
            self.assertFalse(log_in(second, password))

    def test_a_first_start_waits_for_no_lame_duck(self):
        """It serves for a moment, which nobody has heard of who would have to be told."""
        settings = {"AUTH__SERVER__LAME_DUCK": "1m", "USERS__SERVER__LAME_DUCK": "1m"}
        began, served_after = time.monotonic(), None
        with self.assertRaisesRegex(RuntimeError, "tandem ended with -9"):
            with self.started(settings) as first:
                served_after = time.monotonic() - began
                self.assertTrue(first.generated_password)
                # Its end would take that minute.
                first.process.send_signal(signal.SIGKILL)
        self.assertIsNotNone(served_after, "it did not say where it listens")

    def test_who_is_asked_to_end_before_a_database_has_answered_ends_at_once(self):
        for service in ("AUTH", "USERS"):
            with self.subTest(service), socket.create_server(("127.0.0.1", 0)) as silent:
                url = f"postgres://tandem@127.0.0.1:{silent.getsockname()[1]}/accounts"
                starting = self.started({f"{service}__DATABASE__URL": url})
                # By then it hears signals.
                connection, _ = silent.accept()
                with connection:
                    asked = time.monotonic()
                    # Asks it to end, and raises unless it ends well.
                    starting.__exit__()
                    self.assertLess(time.monotonic() - asked, 2)
                self.assertEqual(starting.welcome, [])
        with self.started() as after:
            self.assertTrue(log_in(after, after.generated_password))

    def test_what_is_missing_empty_or_corrupt_is_named(self):
        with self.started():
            pass
        whole = self.data.with_name("whole")
        shutil.copytree(self.data, whole)
        names = ("auth.sqlite", "users.sqlite", "signing-key.pem", "pepper", "workload-token")
        garbage = b"no database, no key, no secret\n" * 200
        for name in names:
            for damage in (Path.unlink, lambda file: file.write_bytes(b""), lambda file: file.write_bytes(garbage)):
                shutil.rmtree(self.data)
                shutil.copytree(whole, self.data)
                damage(self.data / name)
                if name == "workload-token" and (self.data / name).exists() and (self.data / name).stat().st_size:
                    continue  # a long line of text is a token
                with self.subTest(name):
                    self.assertIn(name, self.refusal())
        shutil.rmtree(self.data)
        shutil.copytree(whole, self.data)
        with self.started():
            pass

    def test_a_port_in_use_is_named_with_its_setting(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            said = self.refusal({"USERS__SERVER__LISTEN": address})
        self.assertIn(f"users-service: server.listen = {address} cannot be listened on", said)

    def test_a_second_one_on_the_same_data_is_refused(self):
        with self.started():
            self.assertIn("in use by another tandem", self.refusal())

    def test_the_settings_of_both_are_checked_at_once(self):
        said = self.refusal({"AUTH__SERVER__FOO": "1", "USERS__DATABASE__REPLICA_URL": "postgres://h/d"})
        self.assertIn("AUTH__SERVER__FOO", said)
        self.assertIn("USERS__DATABASE__REPLICA_URL", said)

    def test_everything_that_is_wrong_is_said_at_once_with_its_source(self):
        said = self.refusal(
            {
                "AUTH__SERVER__DRAIN": "soon",
                "AUTH__SERVER__INTERNAL_TLS_CERT_FILE": "/nowhere/internal.pem",
                "USERS__SERVER__LAME_DUCK": "never",
                "USERS__LOG__LEVEL": "error",
                "USERS__LOG__FORMAT": "xml",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_TRACES_SAMPLER": "xray",
            }
        )
        said = said.splitlines()
        headings = [line for line in said if line and not line.startswith("  ")]
        self.assertEqual(
            headings,
            [
                "tandem: these settings of auth-service cannot be used:",
                "these settings of users-service cannot be used:",
                "these settings of the process cannot be used:",
            ],
        )
        for what, source in (
            ('server.drain = "soon": not a duration', "(environment variable AUTH__SERVER__DRAIN)"),
            ("server.internal_tls_cert_file", "(environment variable AUTH__SERVER__INTERNAL_TLS_CERT_FILE)"),
            ('server.lame_duck = "never": not a duration', "(environment variable USERS__SERVER__LAME_DUCK)"),
            ('log.level = "error": the two share one log', "(environment variable USERS__LOG__LEVEL)"),
            ('log.format = "xml": not one of', "(environment variable USERS__LOG__FORMAT)"),
            ("identity_provider.url", "AUTH__SERVER__INTERNAL_TLS_CERT_FILE needs USERS__IDENTITY_PROVIDER__URL"),
            ("variable OTEL_EXPORTER_OTLP_ENDPOINT:", "has to begin with http://"),
            ("variable OTEL_EXPORTER_OTLP_PROTOCOL:", '"http/protobuf" is not supported, but grpc'),
            ("variable OTEL_TRACES_SAMPLER:", '"xray" is not supported'),
        ):
            with self.subTest(what):
                self.assertEqual(len([line for line in said if what in line and source in line]), 1, said)

    def test_the_two_have_one_log_and_whoever_says_otherwise_hears_of_it(self):
        for settings in (
            {"USERS__LOG__LEVEL": "error"},
            {"USERS__LOG__FORMAT": "text"},
            {"USERS__LOG__LEVEL": "info", "AUTH__LOG__LEVEL": "warn"},
        ):
            with self.subTest(settings):
                self.assertIn("AUTH__LOG__LEVEL and AUTH__LOG__FORMAT", self.refusal(settings))
        with self.started({"AUTH__LOG__LEVEL": "debug", "USERS__LOG__LEVEL": "debug"}):
            pass

    def test_the_log_is_text_on_a_terminal_and_json_elsewhere_unless_it_is_told_otherwise(self):
        for told, on_a_terminal, elsewhere in (("auto", False, True), ("json", True, True), ("text", False, False)):
            settings = {"AUTH__LOG__FORMAT": told, "USERS__LOG__FORMAT": told}
            for log, is_json in (
                (self.log_on_a_terminal(settings), on_a_terminal),
                (self.log_elsewhere(settings), elsewhere),
            ):
                with self.subTest(told, is_json=is_json):
                    self.assertTrue(log)
                    for line in log:
                        self.assertEqual(line.startswith("{"), is_json, line)

    def log_elsewhere(self, settings):
        with self.started(settings) as running:
            pass
        return running.log

    def log_on_a_terminal(self, settings):
        with Tandem(BINARY, self.data, settings, on_a_terminal=True) as running:
            pass
        return running.log

    def test_what_was_acknowledged_survives_a_kill(self):
        killed = self.started()
        with self.assertRaises(RuntimeError):
            with killed:
                password = killed.generated_password
                self.assertTrue(log_in(killed, password))
                killed.process.send_signal(signal.SIGKILL)
        with self.started() as again:
            self.assertTrue(log_in(again, password))


class Discretion(unittest.TestCase):
    """What every other test here stands on: secrets are remembered by themselves, and found where they are said."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name) / "data"

    def hatched(self):
        """A secret that nothing else looks like."""
        return "kQ7" + uuid.uuid4().hex

    def said(self, secrets, *log, is_json=True):
        """Whether a process with this log would have failed."""
        try:
            tandem_process.check([line + "\n" for line in log], is_json, secrets)
        except AssertionError:
            return True
        return False

    def test_a_secret_is_found_in_whatever_shape_it_is_said(self):
        secrets = discretion.Secrets()
        secret = self.hatched() + '"\\'
        secrets.add("a password", secret)
        good = '{"message":"call"}'
        for before in ("", "x", "xy", "xyz"):
            octets = f"{before}{secret} and more".encode()
            for shape in (
                octets.decode(),
                str(list(octets)),
                base64.b64encode(octets).decode(),
                base64.urlsafe_b64encode(octets).decode(),
            ):
                with self.subTest(shape):
                    self.assertTrue(self.said(secrets, good, json.dumps({"password": shape}), good))
                    self.assertTrue(self.said(secrets, good, shape, is_json=False))
        self.assertFalse(self.said(secrets, good, json.dumps({"password": secret[1:]}), good))

    def test_tokens_hashes_and_files_are_found_by_their_parts(self):
        secrets = discretion.Secrets()
        head, signature, pepper, key = (self.hatched() for _ in range(4))
        secrets.add_token(f"{head}.claims.{signature}")
        self.data.mkdir()
        (self.data / "pepper").write_text(f"p1:{pepper}\n")
        (self.data / "key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{key}\nmore\n-----END PRIVATE KEY-----\n")
        for name in ("pepper", "key.pem", "none"):
            secrets.add_file(self.data / name)
        for said in (f"{head}.claims.{signature}", signature, pepper, key, "$argon2id$v=19"):
            self.assertTrue(self.said(secrets, json.dumps({"message": said})), said)
        # Whose token it is is no secret, nor is it what every key begins with.
        for said in (head, "claims", "-----BEGIN PRIVATE KEY-----"):
            self.assertFalse(self.said(secrets, json.dumps({"message": said})), said)

    def test_a_line_that_is_no_json_object_is_found(self):
        good = '{"message":"call"}'
        for bad in ("thread panicked", '{"message":"cal', '"message"', "[1]", "", good + good):
            self.assertTrue(self.said(discretion.Secrets(), good, bad, good), bad)
            self.assertFalse(self.said(discretion.Secrets(), good, bad, good, is_json=False), bad)
        self.assertFalse(self.said(discretion.Secrets(), good, good))

    def known(self, secret):
        return secret[: discretion.MOST] in discretion.SECRETS.shapes

    def test_what_goes_through_any_channel_is_remembered(self):
        old, new, wrong, credential = (self.hatched() for _ in range(4))
        # Tokens are renewed soon, as if they were old.
        soon = {"AUTH__SESSION__IDLE_TIMEOUT": "1m", "AUTH__SESSION__REFRESH_THRESHOLD_RATIO": "0.999999"}
        with Tandem(BINARY, self.data, soon) as running, grpc.insecure_channel(running.auth) as channel:
            stub = auth.AuthServiceStub(channel)
            stub.SignUp(auth.SignUpRequest(username="somebody", password=old), timeout=10)
            with self.assertRaises(grpc.RpcError):
                stub.LogIn(auth.LogInRequest(username="somebody", password=wrong), timeout=10)
            # Whatever it is called by, and though its messages are bytes.
            raw = channel.unary_unary(
                "/tandem.auth.v1.AuthService/LogIn", request_serializer=bytes, response_deserializer=bytes
            )
            answer = raw(auth.LogInRequest(username="somebody", password=old).SerializeToString(), timeout=10)
            token = auth.LogInResponse.FromString(answer).access_token
            # Before anybody sends it.
            self.assertTrue(self.known(token))
            self.assertTrue(self.known(token.split(".")[2]))
            change = auth.ChangePasswordRequest(current_password=old, new_password=new)
            changed = stub.ChangePassword.future(change, metadata=bearer(token), timeout=10).result()
            # Another thread hears of the answer to a future.
            suite.eventually("what it brought", lambda: self.known(changed.access_token.split(".")[2]))
            with self.assertRaises(grpc.RpcError):
                stub.LogOut(auth.LogOutRequest(), metadata=bearer(credential), timeout=10)
            renewed = self.renewed(stub, changed.access_token)
            self.assertTrue(self.known(renewed.split(".")[2]))
            with grpc.insecure_channel(running.users) as channel:
                request = users.CreateUserRequest(username="another", password=self.hatched())
                for presented in (renewed, credential):
                    with self.assertRaises(grpc.RpcError):
                        users.UsersServiceStub(channel).CreateUser(request, metadata=bearer(presented), timeout=10)
            files = ("pepper", "signing-key.pem", "workload-token")
            lines = [(self.data / file).read_text().strip().splitlines() for file in files]
            pepper, key, workload = lines[0][0].partition(":")[2], lines[1][1], lines[2][0]
            sent = (old, new, wrong, credential, request.password)
            for secret in (*sent, pepper, key, workload, running.generated_password):
                self.assertTrue(secret)
                self.assertTrue(self.known(secret), secret)
        # It has said all that it can: that a token is refused is a detail.
        self.assertIn("DEBUG", {json.loads(line)["level"] for line in running.log})

    def renewed(self, stub, token):
        """The token that takes this one's place."""
        for _ in range(20_000):
            _, call = stub.GetCurrentSession.with_call(
                auth.GetCurrentSessionRequest(), metadata=bearer(token), timeout=10
            )
            if found := dict(call.initial_metadata()).get("x-session-token"):
                return found
        self.fail("the token was never renewed")

    def test_a_process_that_says_a_secret_fails(self):
        """It logs whatever a caller takes for the id of its call."""
        secret = self.hatched()
        with self.assertRaisesRegex(AssertionError, f"the log shows a password as {secret}"):
            with Tandem(BINARY, self.data) as running, grpc.insecure_channel(running.auth) as channel:
                request = auth.LogInRequest(username="somebody", password=secret)
                with self.assertRaises(grpc.RpcError):
                    auth.AuthServiceStub(channel).LogIn(request, metadata=(("x-request-id", secret),), timeout=10)


def main():
    global BINARY
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tandem", required=True, type=Path, help="the binary of the all-in-one")
    BINARY = arguments.parse_args().tandem.resolve()
    return suite.run()


if __name__ == "__main__":
    sys.exit(main())
