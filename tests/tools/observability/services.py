"""Real processes: two replicas of each service on PostgreSQL, and Prometheus, which scrapes them."""

import contextlib
import datetime
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
import uuid
from base64 import b64encode
from pathlib import Path

import yaml

from calls import Caller
from shipped import ROOT
from tandem_process import OURS


BOSS = "the.boss"
SECONDS_TO_START = 30
SECONDS_TO_END = 30
LISTENS = re.compile(r"^(auth-service|users-service)(?: (internal|operations))? listens on (\S+)$")
# Limits so low that a crowd reaches them, and nobody else on a machine that has much to do besides.
SETTINGS = {
    "AUTH__PASSWORD__MAX_PARALLEL_HASHES": "1",
    "AUTH__PASSWORD__QUEUE_WAIT": "1500ms",
    "AUTH__RATE_LIMIT__SIGN_UPS_PER_HOUR": "10000",
    "AUTH__SESSION__MAX_PER_USER": "2",
    "USERS__IDENTITY_PROVIDER__TIMEOUT": "20s",
}


class Failed(RuntimeError):
    """Something that runs here did not as it should."""


class Process:
    """A child that serves while entered, and ends well afterwards."""

    def __init__(self, command, environment, folder):
        self.command = [str(word) for word in command]
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(OURS)
        } | environment
        self.folder = folder
        self.output = []

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        try:
            until(self.is_ready, SECONDS_TO_START, f"{self.command[0]} to start", self.failure)
        except BaseException:
            self.process.kill()
            self.reader.join()
            raise
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.reader.join()
        if self.process.wait() != 0:
            raise Failed(f"{self.command[0]} ended with {self.process.returncode}:\n" + "".join(self.output[-50:]))

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line)

    def failure(self):
        if self.process.poll() is not None:
            self.reader.join()
            return f"it ended with {self.process.returncode}:\n" + "".join(self.output[-50:])
        return None


class Service(Process):
    """One replica of a service. `addresses` has its listeners: public, internal (of auth-service), operations."""

    def is_ready(self):
        self.addresses = {}
        for line in list(self.output):
            if found := LISTENS.match(line):
                self.addresses[found[2] or "public"] = found[3]
        return "operations" in self.addresses and answers(f"http://{self.addresses['operations']}/readyz")


class Pair:
    """auth-service and users-service on PostgreSQL, two replicas of each."""

    def __init__(self, binaries, folder, database_url):
        self.binaries, self.folder, self.server = Path(binaries), Path(folder), database_url
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.start(stack)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, stack):
        auth_url, users_url = (stack.enter_context(self.database(name)) for name in ("auth", "users"))
        run("auth-service keys generate --out key.pem", self.binaries, self.folder)
        secret(self.folder / "pepper", "1:" + b64encode(os.urandom(32)).decode())
        secret(self.folder / "token", b64encode(os.urandom(32)).decode())
        auth = of("AUTH__", SETTINGS) | {
            "AUTH__DATABASE__URL": auth_url,
            "AUTH__TOKEN__SIGNING_KEY_FILE": "key.pem",
            "AUTH__PASSWORD__PEPPERS_FILE": "pepper",
            "AUTH__WORKLOAD__TOKEN_FILE": "token",
            "AUTH__SERVER__LISTEN": "127.0.0.1:0",
            "AUTH__SERVER__INTERNAL_LISTEN": "127.0.0.1:0",
            "AUTH__SERVER__OPS_LISTEN": "127.0.0.1:0",
        }
        run("auth-service migrate", self.binaries, self.folder, auth)
        self.auth = [stack.enter_context(self.service("auth-service", auth)) for _ in range(2)]
        users = of("USERS__", SETTINGS) | {
            "USERS__DATABASE__URL": users_url,
            "USERS__IDENTITY_PROVIDER__URL": f"http://{self.auth[0].addresses['internal']}",
            "USERS__IDENTITY_PROVIDER__TOKEN_FILE": "token",
            "USERS__SERVER__LISTEN": "127.0.0.1:0",
            "USERS__SERVER__OPS_LISTEN": "127.0.0.1:0",
        }
        run("users-service migrate", self.binaries, self.folder, users)
        run(
            f"users-service bootstrap-super-admin --username {BOSS} --password-out boss",
            self.binaries,
            self.folder,
            users,
        )
        self.users = [stack.enter_context(self.service("users-service", users)) for _ in range(2)]

    def service(self, name, settings):
        return Service([self.binaries / name, "serve"], settings, self.folder)

    @contextlib.contextmanager
    def database(self, name):
        name = f"observability_{name}_{uuid.uuid4().hex[:12]}"
        self.psql(f"create database {name}")
        try:
            yield urllib.parse.urlunsplit(urllib.parse.urlsplit(self.server)._replace(path=f"/{name}"))
        finally:
            self.psql(f"drop database {name}")

    def psql(self, statement):
        command = [
            ROOT / "tests/postgres",
            "client",
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--command",
            statement,
            self.server,
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def callers(self):
        """One of each pair of replicas."""
        token = (self.folder / "token").read_text().strip()
        boss = (BOSS, (self.folder / "boss").read_text().strip())
        for auth, users in zip(self.auth, self.users):
            yield Caller(auth.addresses["public"], users.addresses["public"], auth.addresses["internal"], token, boss)

    def targets(self):
        """Where each job of the configuration finds its replicas."""
        return {
            "auth-service": [service.addresses["operations"] for service in self.auth],
            "users-service": [service.addresses["operations"] for service in self.users],
        }


class KubeStateMetrics:
    """What kube-state-metrics says of the limits of pods, as it says it: the services do not know them."""

    def __init__(self, pods):
        page = "# TYPE kube_pod_container_resource_limits gauge\n"
        for job, pod in pods:
            for resource, unit, value in (("memory", "byte", 2**30), ("cpu", "core", 2)):
                page += (
                    f'kube_pod_container_resource_limits{{namespace="tandem",pod="{pod}",uid="{uuid.uuid4()}",'
                    f'container="{job}",node="node-1",resource="{resource}",unit="{unit}"}} {value}\n'
                )

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                # Whoever asks may have given up meanwhile.
                with contextlib.suppress(ConnectionError):
                    self.send_response(200)
                    self.send_header("content-type", "text/plain; version=0.0.4")
                    self.end_headers()
                    self.wfile.write(page.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Prometheus(Process):
    """Scrapes with the configuration that is shipped, but for where the targets are and how often.

    It is asked about one moment, at which every target had just been scraped: what a scrape that comes too late
    afterwards takes away again, on a machine that has much to do, does not matter.
    """

    def __init__(self, name, program, folder, config, rules):
        self.name, self.base, self.moment, self.answers = name, "", None, {}
        folder.mkdir()
        config["global"] |= {"scrape_interval": "2s", "evaluation_interval": "2s", "scrape_timeout": "2s"}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (folder / "rules.yaml").write_text(rules)
        command = [
            program,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ]
        super().__init__(command, {"TZ": "UTC"}, folder)

    def is_ready(self):
        # It says `address=127.0.0.1:0` too, of what it was told.
        found = [re.search(r'msg="Listening on" address=(127\.0\.0\.1:[1-9]\d*)', line) for line in list(self.output)]
        self.base = next((f"http://{match[1]}" for match in found if match), "")
        return bool(self.base) and answers(f"{self.base}/-/ready")

    def get(self, path, **parameters):
        """What its API answers. Once it is asked about one moment, the same question has the same answer."""
        url = f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        if url not in self.answers:
            answer = asked(url)
            if self.moment:
                self.answers[url] = answer
        else:
            answer = self.answers[url]
        if answer["status"] == "error":
            raise RefusedQuery(answer["error"])
        return answer["data"]

    def query(self, expression):
        """The series of the moment, as pairs of labels and value."""
        data = self.get("query", query=expression, **({"time": self.moment} if self.moment else {}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def sees(self, moment):
        """Whether every target was scraped and every rule evaluated since a moment; then it is asked about now."""
        evaluated = [seconds(group["lastEvaluation"]) for group in self.get("rules")["groups"]]
        self.moment = f"{time.time():.3f}"
        up, scraped = self.query("up"), self.query("timestamp(up)")
        if (
            all(value == 1 for _, value in up)
            and min(value for _, value in scraped) > moment
            and min(evaluated) > moment + 4
        ):
            return True
        self.moment, self.answers = None, {}
        return False


class RefusedQuery(Exception):
    """Prometheus does not evaluate it."""


def seconds(text):
    """Since 1970, of a time in UTC that Prometheus prints with nanoseconds; the whole ones are enough."""
    return datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()


def until(condition, limit, what, failure=lambda: None):
    """Waits for a condition; fails when it does not come, or when it cannot come any more."""
    deadline = time.monotonic() + limit
    while not condition():
        if problem := failure():
            raise Failed(f"waited for {what}: {problem}")
        if time.monotonic() > deadline:
            raise Failed(f"waited {limit} s for {what} in vain")
        time.sleep(0.05)


def asked(url):
    """What an API answers, if only that it will not."""
    try:
        with urllib.request.urlopen(url, timeout=30) as page:
            return json.load(page)
    except urllib.error.HTTPError as error:
        return json.load(error)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return page.status == 200
    except OSError:
        return False


def of(service, settings):
    return {name: value for name, value in settings.items() if name.startswith(service)}


def secret(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def run(command, binaries, folder, settings=None):
    program, *arguments = command.split()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | (settings or {})
    done = subprocess.run(
        [binaries / program, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise Failed(f"{command} ended with {done.returncode}:\n{done.stdout}")
