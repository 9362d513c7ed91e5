"""The stack of docker-compose.yaml as a project of its own: other ports, other secrets, gone afterwards."""

import json
import os
import pty
import re
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORTS = {
    "auth": "TANDEM_AUTH_PORT",
    "auth_ops": "TANDEM_AUTH_OPS_PORT",
    "auth_2": "TANDEM_AUTH_2_PORT",
    "auth_2_ops": "TANDEM_AUTH_2_OPS_PORT",
    "users": "TANDEM_USERS_PORT",
    "users_ops": "TANDEM_USERS_OPS_PORT",
    "users_2": "TANDEM_USERS_2_PORT",
    "users_2_ops": "TANDEM_USERS_2_OPS_PORT",
    "prometheus": "TANDEM_PROMETHEUS_PORT",
}
SERVICES = ("auth-service", "users-service")
REPLICAS = ("auth-service", "auth-service-2", "users-service", "users-service-2")


def free_ports(count):
    """They stay free unless somebody takes one before the engine does, which says so then."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Failed(Exception):
    """A command that should have succeeded."""


class Stack:
    """Addresses are attributes, named as in PORTS, and `identity` for the internal listener."""

    def __init__(self, folder):
        self.folder = folder
        self.project = f"tandem-test-{os.getpid()}"
        self.profiles = []
        self.secrets = folder / "secrets"
        self.workload_token = self.secrets / "workload-token"
        *ports, identity = free_ports(len(PORTS) + 1)
        self.environment = dict(os.environ, TANDEM_SECRETS=str(self.secrets))
        for (name, variable), port in zip(PORTS.items(), ports):
            setattr(self, name, f"127.0.0.1:{port}")
            self.environment[variable] = str(port)
        self.identity = f"127.0.0.1:{identity}"
        # What is not published, for those of the README's calls that go to the internal listener.
        self.more = folder / "more.yaml"
        self.more.write_text(f'services: {{auth-service: {{ports: ["{self.identity}:50052"]}}}}\n')
        self.files = ["docker-compose.yaml", str(self.more)]

    def run(self, *command, **options):
        """Returns what it prints; raises when it fails."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options
        )
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))} exits with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def command(self, *arguments):
        files = [option for file in self.files for option in ("--file", file)]
        profiles = [option for profile in self.profiles for option in ("--profile", profile)]
        return ["docker", "compose", "--project-name", self.project, *files, *profiles, *arguments]

    def compose(self, *arguments):
        return self.run(*self.command(*arguments))

    def up(self, *arguments):
        self.compose("up", "--wait", "--wait-timeout", "120", "--no-build", *arguments)

    def restart(self):
        self.compose("restart", *SERVICES)
        self.up()

    def on_terminal(self, *arguments):
        """A command on a terminal, as an operator starts it; returns what the terminal shows."""
        ours, theirs = pty.openpty()
        shown = []

        def read():
            try:
                while part := os.read(ours, 4096):
                    shown.append(part)
            except OSError:
                pass  # The other end was closed.

        process = subprocess.Popen(
            self.command(*arguments), cwd=ROOT, env=self.environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        status = process.wait(120)
        reader.join()
        os.close(ours)
        text = b"".join(shown).decode()
        if status != 0:
            raise Failed(f"{' '.join(arguments)} exits with {status}:\n{text}")
        return text

    def container(self, service):
        """What the engine says of the container of a service."""
        return json.loads(self.run("docker", "inspect", self.container_id(service)))[0]

    def container_id(self, service):
        return self.compose("ps", "--all", "--quiet", service).strip()

    def health(self, service):
        return self.container(service)["State"]["Health"]["Status"]

    @property
    def gateways(self):
        """A pattern of the addresses that callers from outside come from."""
        network = json.loads(self.run("docker", "network", "inspect", f"{self.project}_default"))[0]
        return "|".join(re.escape(config["Gateway"]) for config in network["IPAM"]["Config"])

    def sql(self, database, role_of, statement):
        """Runs a statement as the role of a secret, over TCP and with its password."""
        url = (self.secrets / role_of).read_text().strip()
        where = re.sub(r"/[^/]*$", f"/{database}", url)
        return self.compose("exec", "-T", "postgres", "psql", "--no-psqlrc", "-Atqc", statement, where)

    def metrics(self, address):
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def down(self):
        # Whichever profiles it was started with.
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")


def counted(metrics, name, **labels):
    """The sum over all series of a metric with these labels."""
    total = 0.0
    for line in metrics.splitlines():
        found = re.fullmatch(rf"{name}{{(.*)}} (\S+)", line)
        if found and all(f'{label}="{value}"' in found[1] for label, value in labels.items()):
            total += float(found[2])
    return total
