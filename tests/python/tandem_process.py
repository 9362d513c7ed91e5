"""The real all-in-one as a child process, on free ports and with a data folder of its own."""

import os
import re
import signal
import subprocess
import threading
from pathlib import Path

# `auth-service listens on 127.0.0.1:50051`: the addresses as they are printed, one a line.
ADDRESS = re.compile(r"^\s*(auth|users)-service( internal| operations)? listens on (\S+)$")
LISTENERS = {
    ("auth", ""): "auth",
    ("auth", " internal"): "identity",
    ("auth", " operations"): "auth_ops",
    ("users", ""): "users",
    ("users", " operations"): "users_ops",
}
FREE_PORTS = {
    f"{service}__SERVER__{key}": "127.0.0.1:0"
    for service, keys in {"AUTH": ("LISTEN", "INTERNAL_LISTEN", "OPS_LISTEN"), "USERS": ("LISTEN", "OPS_LISTEN")}.items()
    for key in keys
}
SECONDS_TO_START = 30


class Tandem:
    """Ready when entered; the addresses are attributes: auth, identity, users, auth_ops, users_ops."""

    def __init__(self, binary, data, settings=None):
        self.binary = binary
        self.data = Path(data)
        self.settings = settings or {}
        self.output = []
        self.errors = []

    def __enter__(self):
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AUTH__", "USERS__", "TANDEM_"))}
        self.process = subprocess.Popen(
            [self.binary, "--data-dir", str(self.data)],
            env=ours | FREE_PORTS | self.settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Read to the end, or a full pipe would stop the process.
        self.readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        self.announced = threading.Event()
        for reader in self.readers:
            reader.start()
        self.announced.wait(SECONDS_TO_START)
        missing = [name for name in LISTENERS.values() if not hasattr(self, name)]
        if missing:
            self.__exit__()
            said = "".join(self.output + self.errors)
            raise RuntimeError(f"{self.binary} did not print where it listens ({', '.join(missing)}):\n{said}")
        return self

    def _read_output(self):
        for line in self.process.stdout:
            self.output.append(line)
            if found := ADDRESS.match(line.rstrip()):
                service, listener, address = found.groups()
                setattr(self, LISTENERS[service, listener or ""], address)
                if all(hasattr(self, name) for name in LISTENERS.values()):
                    self.announced.set()
        self.announced.set()

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def __exit__(self, *_):
        """Asks it to end, as an operator would; it must, and well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            for reader in self.readers:
                reader.join()
        self.status = self.process.returncode
