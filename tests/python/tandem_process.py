"""The real all-in-one as a child process, on free ports and with a data folder of its own.

It says all that it can, and when it has ended everything that it said is looked through: see discretion.py.
"""

import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

from discretion import SECRETS

# How the addresses are printed: `  auth-service   127.0.0.1:50051   sign-up, log-in, sessions`.
LISTENERS = {
    re.compile(r"^  auth-service +(\S+)"): ("auth",),
    re.compile(r"^  users-service +(\S+)"): ("users",),
    re.compile(r"^  internal +(\S+)"): ("identity",),
    re.compile(r"^  operations +(\S+) and (\S+)"): ("auth_ops", "users_ops"),
}
GENERATED_PASSWORD = re.compile(r"^  password +(\S+)$")
LAST_LINE_OF_THE_WELCOME = re.compile(r"^  buf curl ")
FREE_PORTS = {
    "AUTH__SERVER__LISTEN": "127.0.0.1:0",
    "AUTH__SERVER__INTERNAL_LISTEN": "127.0.0.1:0",
    "AUTH__SERVER__OPS_LISTEN": "127.0.0.1:0",
    "USERS__SERVER__LISTEN": "127.0.0.1:0",
    "USERS__SERVER__OPS_LISTEN": "127.0.0.1:0",
}
TALKATIVE = {"AUTH__LOG__LEVEL": "trace"}
OURS = ("AUTH__", "USERS__", "TANDEM_")
SECONDS_TO_START = 30
SECONDS_TO_END = 30
# How it ends at once, as a shell says it of whoever was interrupted.
ASKED_TWICE = 128 + signal.SIGINT


def environment(settings):
    """Nothing of ours but what is set here."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return inherited | FREE_PORTS | TALKATIVE | settings


def remember_files(data):
    """Whatever is in a data folder but the databases and what belongs to them."""
    for file in data.iterdir() if data.is_dir() else ():
        if ".sqlite" not in file.name:
            SECRETS.add_file(file)


def is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def check(log, is_json, secrets=SECRETS):
    """Fails on a line of a log that is not what it should be, and on one that says a secret."""
    if any("lines of the log were lost" in line for line in log):
        raise AssertionError("the log is not whole: whoever reads it does not keep up")
    secrets.look_into("the log", "".join(log))
    for line in log:
        if is_json and not is_object(line):
            raise AssertionError(f"a line of the log is no JSON object:\n{line[:2000]}")


def refusal(binary, data, settings=None):
    """What it says when it does not start."""
    settings = settings or {}
    SECRETS.add_settings(settings)
    # Also of what was damaged nothing may be shown.
    remember_files(data)
    ended = subprocess.run(
        [binary, "--data-dir", data],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_START,
    )
    remember_files(data)
    assert ended.returncode == 1, ended
    assert "panicked" not in ended.stderr, ended.stderr
    SECRETS.look_into("standard output", ended.stdout)
    # The reason is for people; whatever came before it is the log.
    check([line for line in ended.stderr.splitlines() if line.startswith("{")], is_json=True)
    SECRETS.look_into("the reason", ended.stderr)
    return ended.stderr


class Reserved:
    """An address where nobody listens who is not told to, while entered: test_kit::Reserved in Rust says how, and keeps to the
    same ports."""

    NEVER_CHOSEN = range(10_000, 20_000)

    def __init__(self):
        for port in random.sample(self.NEVER_CHOSEN, len(self.NEVER_CHOSEN)):
            self.number = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.number.bind(("127.0.0.1", port))
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                self.number.close()
                continue
            self.address = f"127.0.0.1:{port}"
            return
        raise RuntimeError("no free port")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.number.close()


class Tandem:
    """Serves while entered. The addresses are attributes: auth, users, identity, auth_ops, users_ops."""

    def __init__(self, binary, data, settings=None, folder=None, on_a_terminal=False, reads_its_log=True):
        settings = settings or {}
        SECRETS.add_settings(settings)
        self.data = Path(data)
        formats = {settings.get(f"{service}__LOG__FORMAT", "auto") for service in ("AUTH", "USERS")}
        self.is_json = formats <= ({"json"} if on_a_terminal else {"json", "auto"})
        self.generated_password = None
        self.welcome = []
        self.log = []
        self.welcomed = threading.Event()
        self.is_asked_to_end = False
        self.reads_its_log = reads_its_log
        log, its_log = os.openpty() if on_a_terminal else os.pipe()
        self.process = subprocess.Popen(
            [str(binary), "--data-dir", str(data)],
            cwd=folder,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=its_log,
            text=True,
        )
        os.close(its_log)
        # Read to the end, or lines would be lost; the log of whoever is to be read by nobody when it has ended.
        self.readers = [
            threading.Thread(target=self._read_welcome),
            threading.Thread(target=self._read_log, args=[log]),
        ]

    def __enter__(self):
        for reader in self.readers if self.reads_its_log else self.readers[:1]:
            reader.start()
        self.welcomed.wait(SECONDS_TO_START)
        # A test may put others in their place.
        remember_files(self.data)
        if not hasattr(self, "users_ops") or not self.welcomed.is_set():
            self.__exit__()
            raise RuntimeError("tandem did not say where it listens:\n" + "".join(self.welcome + self.log))
        return self

    def __exit__(self, *_):
        """Asks it to end, as an operator would: it must, in time, and say that all went well, and no secret."""
        self.ask_to_end()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for reader in self.readers:
            if reader.ident is None:
                reader.start()
            reader.join()
        self._check()
        if self.process.wait() != 0:
            raise RuntimeError(f"tandem ended with {self.process.returncode}:\n" + "".join(self.log))

    def ask_to_end(self, by=signal.SIGTERM):
        """Once: whoever asks twice does not want to wait."""
        if not self.is_asked_to_end:
            self.is_asked_to_end = True
            self.process.send_signal(by)

    def workload_token(self):
        return (self.data / "workload-token").read_text().split()[0]

    def _check(self):
        remember_files(self.data)
        # It is shown once, and there.
        SECRETS.look_into("standard output", "".join(self.welcome), may_show=self.generated_password)
        log = self.log
        was_cut = self.process.wait() in (-signal.SIGKILL, ASKED_TWICE) or not self.reads_its_log
        if was_cut and log and not log[-1].endswith("\n"):
            # It had no time for the rest of the line.
            SECRETS.look_into("the log", log[-1])
            log = log[:-1]
        # Why it did not start is said to people.
        check(log, self.is_json and self.process.returncode != 1)

    def _read_welcome(self):
        for line in self.process.stdout:
            self.welcome.append(line)
            for listener, names in LISTENERS.items():
                if found := listener.match(line):
                    for name, address in zip(names, found.groups()):
                        setattr(self, name, address)
            if found := GENERATED_PASSWORD.match(line):
                self.generated_password = found[1]
                SECRETS.add("the generated password", found[1])
            if LAST_LINE_OF_THE_WELCOME.match(line):
                self.welcomed.set()
        self.welcomed.set()

    def _read_log(self, log):
        said = b""
        with open(log, "rb", buffering=0) as log:
            try:
                while more := log.read(64 * 1024):
                    *lines, said = (said + more).split(b"\n")
                    self.log += [line.decode().rstrip("\r") + "\n" for line in lines]
            except OSError:
                # How a terminal says that nobody else has it open any more.
                pass
        if said:
            self.log.append(said.decode())
