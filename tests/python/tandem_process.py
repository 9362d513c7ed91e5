"""The real all-in-one as a child process, on free ports and with a data folder of its own."""

import os
import re
import signal
import subprocess
import threading

# How the addresses are printed: `  auth-service   127.0.0.1:50051   sign-up, log-in, sessions`.
LISTENERS = {
    re.compile(r"^  auth-service +(\S+)"): ("auth",),
    re.compile(r"^  users-service +(\S+)"): ("users",),
    re.compile(r"^  internal +(\S+)"): ("identity",),
    re.compile(r"^  operations +(\S+) and (\S+)"): ("auth_ops", "users_ops"),
}
LAST_LINE_OF_THE_WELCOME = re.compile(r"^  buf curl ")
FREE_PORTS = {
    "AUTH__SERVER__LISTEN": "127.0.0.1:0",
    "AUTH__SERVER__INTERNAL_LISTEN": "127.0.0.1:0",
    "AUTH__SERVER__OPS_LISTEN": "127.0.0.1:0",
    "USERS__SERVER__LISTEN": "127.0.0.1:0",
    "USERS__SERVER__OPS_LISTEN": "127.0.0.1:0",
}
OURS = ("AUTH__", "USERS__", "TANDEM_")
SECONDS_TO_START = 30
SECONDS_TO_END = 30


class Tandem:
    """Serves while entered. The addresses are attributes: auth, users, identity, auth_ops, users_ops."""

    def __init__(self, binary, data, settings=None, folder=None, log_to=subprocess.PIPE):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.welcome = []
        self.log = []
        self.welcomed = threading.Event()
        self.process = subprocess.Popen(
            [str(binary), "--data-dir", str(data)],
            cwd=folder,
            env=environment | FREE_PORTS | (settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_to,
            text=True,
        )
        # Read to the end, or a full pipe would stop the process.
        self.readers = [threading.Thread(target=self._read_welcome), threading.Thread(target=self._read_log)]

    def __enter__(self):
        for reader in self.readers:
            reader.start()
        self.welcomed.wait(SECONDS_TO_START)
        if not hasattr(self, "users_ops") or not self.welcomed.is_set():
            self.__exit__()
            raise RuntimeError("tandem did not say where it listens:\n" + "".join(self.welcome + self.log))
        return self

    def __exit__(self, *_):
        """Asks it to end, as an operator would: it must, in time, and say that all went well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for reader in self.readers:
            reader.join()
        if self.process.wait() != 0:
            raise RuntimeError(f"tandem ended with {self.process.returncode}:\n" + "".join(self.log))

    def _read_welcome(self):
        for line in self.process.stdout:
            self.welcome.append(line)
            for listener, names in LISTENERS.items():
                if found := listener.match(line):
                    for name, address in zip(names, found.groups()):
                        setattr(self, name, address)
            if LAST_LINE_OF_THE_WELCOME.match(line):
                self.welcomed.set()
        self.welcomed.set()

    def _read_log(self):
        for line in self.process.stderr or ():
            self.log.append(line)
