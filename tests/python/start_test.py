"""How the real all-in-one starts, and when it refuses to: start_test.py --tandem PATH"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import grpc
import suite
from tandem_process import FREE_PORTS, OURS, Tandem

BINARY: Path
GIVEN = "a password that was given"


def refusal(data, settings=None):
    """What it says when it does not start."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ended = subprocess.run(
        [BINARY, "--data-dir", data],
        env=environment | FREE_PORTS | (settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1, ended
    assert "panicked" not in ended.stderr, ended.stderr
    return ended.stderr


def generated_password(started):
    found = re.search(r"^  password +(\S+)$", "".join(started.welcome), re.MULTILINE)
    return found and found[1]


def log_in(started, password):
    """Whether the super admin's password is this one. The body is written by hand: two short text fields."""
    fields = ((1, "superadmin"), (2, password))
    body = b"".join(bytes([number << 3 | 2, len(text)]) + text.encode() for number, text in fields)
    with grpc.insecure_channel(started.auth) as channel:
        call = channel.unary_unary(
            "/tandem.auth.v1.AuthService/LogIn", request_serializer=bytes, response_deserializer=bytes
        )
        try:
            call(body, timeout=10)
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

    def test_the_generated_password_is_printed_once_and_never_logged(self):
        with self.started() as first:
            password = generated_password(first)
            self.assertTrue(log_in(first, password))
        self.assertNotIn(password, "".join(first.log))
        with self.started() as second:
            self.assertIsNone(generated_password(second))
            self.assertTrue(log_in(second, password))
        self.assertNotIn(password, "".join(second.welcome + second.log))

    def test_a_given_password_is_used_and_shown_nowhere(self):
        with self.started({"TANDEM_SUPER_ADMIN_PASSWORD": GIVEN}) as given:
            self.assertTrue(log_in(given, GIVEN))
        self.assertNotIn(GIVEN, "".join(given.welcome + given.log))

    def test_a_given_password_that_breaks_the_rules_is_explained(self):
        said = refusal(self.data, {"TANDEM_SUPER_ADMIN_PASSWORD": "too short"})
        self.assertIn("password must have at least 15 characters", said)
        self.assertNotIn("too short", said)
        with self.started() as after:
            self.assertTrue(log_in(after, generated_password(after)))

    def test_a_first_run_that_was_killed_goes_on(self):
        with self.started() as first:
            password = generated_password(first)
        # What a kill before the end of the first run leaves: everything but the mark of its end.
        (self.data / "initialized").unlink()
        with self.started() as second:
            self.assertTrue(log_in(second, generated_password(second)))
            self.assertFalse(log_in(second, password))

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
                    self.assertIn(name, refusal(self.data))
        shutil.rmtree(self.data)
        shutil.copytree(whole, self.data)
        with self.started():
            pass

    def test_a_port_in_use_is_named_with_its_setting(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            said = refusal(self.data, {"USERS__SERVER__LISTEN": address})
        self.assertIn(f"users-service: server.listen = {address} cannot be listened on", said)

    def test_a_second_one_on_the_same_data_is_refused(self):
        with self.started():
            self.assertIn("in use by another tandem", refusal(self.data))

    def test_the_settings_of_both_are_checked_at_once(self):
        said = refusal(self.data, {"AUTH__SERVER__FOO": "1", "USERS__DATABASE__REPLICA_URL": "postgres://h/d"})
        self.assertIn("AUTH__SERVER__FOO", said)
        self.assertIn("USERS__DATABASE__REPLICA_URL", said)

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
        ours, its = os.openpty()
        try:
            with Tandem(BINARY, self.data, settings, log_to=its):
                pass
            # What waits to be read; the terminal has room for more than a start and an end say.
            os.set_blocking(ours, False)
            return os.read(ours, 64 * 1024).decode().splitlines()
        finally:
            os.close(its)
            os.close(ours)

    def test_what_was_acknowledged_survives_a_kill(self):
        killed = self.started()
        with self.assertRaises(RuntimeError):
            with killed:
                password = generated_password(killed)
                self.assertTrue(log_in(killed, password))
                killed.process.send_signal(signal.SIGKILL)
        with self.started() as again:
            self.assertTrue(log_in(again, password))


def main():
    global BINARY
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tandem", required=True, type=Path, help="the binary of the all-in-one")
    BINARY = arguments.parse_args().tandem.resolve()
    return suite.run()


if __name__ == "__main__":
    sys.exit(main())
