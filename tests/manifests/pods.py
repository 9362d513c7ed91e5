"""Runs what an overlay describes, as far as one machine can: pods.py RENDERED.yaml FOLDER BINARIES

In namespaces of its own, made by check.py: a network with the ports of the manifests, and an /etc with the names that
the cluster would resolve. PostgreSQL is what tests/postgres starts, set up by the scripts that the manifests give it, or
by deploy/postgres/roles.sql. Each container is the real binary with the arguments, variables, user and files of its pod,
in a root that cannot be written, without capabilities. What a cluster adds (scheduling, policies, limits) is not here.

Prints a line for each thing that was tried: `ok …` or `FAILED …`.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from model import Manifests, Pod
from settings import DATABASE_HOST, DATABASE_PASSWORD, Settings, mount

ROOT = Path(__file__).parent.parent.parent
ROLES = ("tandem_auth_owner", "tandem_auth", "tandem_users_owner", "tandem_users")


def say(what: str, flaw: str = "") -> None:
    print(f"FAILED {what}\n    {flaw}" if flaw else f"ok     {what}", flush=True)


class Node:
    """The machine, as a node that runs the pods of one overlay."""

    def __init__(self, rendered: Path, folder: Path, binaries: Path) -> None:
        self.manifests = Manifests.load(rendered)
        self.folder = folder
        command("ip", "link", "set", "lo", "up")
        command("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(folder))
        # Where PostgreSQL leaves what it shares when it is killed.
        command("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
        # An /etc of our own over the machine's, for names and for a place to mount at.
        (folder / "etc").mkdir()
        (folder / "work").mkdir()
        command(
            "mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir=/etc,upperdir={folder}/etc,workdir={folder}/work", "/etc",
        )  # fmt: skip
        Path("/etc/tandem").mkdir()
        names = [service["metadata"]["name"] for service in self.manifests.of("Service")]
        Path("/etc/hosts").write_text(f"127.0.0.1 localhost {DATABASE_HOST} {' '.join(names)}\n")
        (folder / "image").mkdir()
        for service in ("auth-service", "users-service"):
            (folder / "image" / service).touch()
            command("mount", "--bind", str(binaries / service), str(folder / "image" / service))
        self.settings = Settings(binaries, ROOT / "deploy/kubernetes/secrets", folder)
        self.secrets = dict(self.settings.made_by_the_script(self.manifests))
        for certificate in self.manifests.of("Certificate"):
            self.secrets[certificate["spec"]["secretName"]] = self.settings.issued(certificate)

    def pod(self, kind: str, name: str) -> Pod:
        return next(pod for pod in self.manifests.pods() if pod.name == f"{kind} {name}")

    def files(self, pod: Pod) -> Path:
        """What is mounted below /etc/tandem, with the modes of the manifest, for the pod's group as kubelet does it."""
        place = self.folder / "pods" / pod.name.replace(" ", "-").lower()
        if not place.exists():
            place.mkdir(parents=True)
            mount(self.manifests, pod.spec, self.secrets, place)
            for path in (place / "etc/tandem").rglob("*"):
                os.chown(path, 0, pod.spec["securityContext"]["fsGroup"])
        return place / "etc/tandem"

    def start(self, pod: Pod, *instead: str, **options: object) -> subprocess.Popen[bytes]:
        """The container, or another command of its program with the same settings."""
        container, context = pod.spec["containers"][0], pod.spec["securityContext"]
        arguments = list(container["args"])
        if instead:
            arguments[-1:] = instead
        variables = [f"{variable['name']}={variable['value']}" for variable in container["env"]]
        program = [
            "setpriv", f"--reuid={context['runAsUser']}", f"--regid={context['runAsGroup']}",
            f"--groups={context['fsGroup']}", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all",
            "env", "--ignore-environment", *variables, str(self.folder / "image" / str(pod.service)), *arguments,
        ]  # fmt: skip
        script = (
            f"mount --bind {shlex.quote(str(self.files(pod)))} /etc/tandem && mount --bind / / && "
            f"mount -o remount,ro,bind / && exec {shlex.join(program)}"
        )
        return subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], **options)

    def run(self, pod: Pod) -> tuple[int, str]:
        done = self.start(pod, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = done.communicate(timeout=30)
        return done.returncode, said.decode().strip()

    # -------------------------------------------------------------------------------------------------- PostgreSQL

    def start_postgres(self) -> None:
        """With the passwords asked for, over TCP; in production over TLS, by the name in the URL."""
        cluster = self.folder / "postgres"
        (self.folder / "hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
        settings = ["port=5432", f"hba_file={self.folder}/hba.conf"]
        trial = self.manifests.get("StatefulSet", "postgres")
        if not trial:
            issued = self.settings.authority.issue({"usages": ["server auth"], "dnsNames": [DATABASE_HOST]})
            for name in ("tls.crt", "tls.key"):
                (self.folder / name).write_bytes(issued[name])
                (self.folder / name).chmod(0o600)
                shutil.chown(self.folder / name, "postgres")
            settings += ["ssl=on", f"ssl_cert_file={self.folder}/tls.crt", f"ssl_key_file={self.folder}/tls.key"]
            # Nobody gets in without.
            (self.folder / "hba.conf").write_text("local all all trust\nhostssl all all all scram-sha-256\n")
        postgres = [str(ROOT / "tests/postgres")]
        command(*postgres, "init", str(cluster), *settings)
        command(*postgres, "start", str(cluster))
        psql = [*postgres, "client", "psql", "--no-psqlrc", "--quiet", f"host={cluster} port=5432 user=postgres"]
        if not trial:
            command(*psql, "--file", str(ROOT / "deploy/postgres/roles.sql"))
            for role in ROLES:
                command(*psql, "--command", f"alter role {role} password '{DATABASE_PASSWORD}'")
            return
        # As the image does it at the first start: every script by its name.
        pod = self.pod("StatefulSet", "postgres")
        [scripts] = [volume["projected"] for volume in pod.spec["volumes"] if volume["name"] == "first-start"]
        contents = {
            item["path"]: self.manifests.get("ConfigMap", source["configMap"]["name"])["data"][item["key"]]
            for source in scripts["sources"] for item in source["configMap"]["items"]
        }  # fmt: skip
        for name in sorted(contents):
            (self.folder / name).write_text(contents[name])
            script = f"mount --bind {shlex.quote(str(self.files(pod)))} /etc/tandem && " + shlex.join(
                [*psql, "--set", "ON_ERROR_STOP=1", "--file", str(self.folder / name)]
            )
            command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)

    # ------------------------------------------------------------------------------------------------------- steps

    def refuses_an_old_schema(self) -> None:
        for service in ("auth-service", "users-service"):
            status, said = self.run(self.pod("Deployment", service))
            fine = status == 1 and "migrate" in said
            say(f"{service} refuses to start before its Job is done", "" if fine else f"{status}: {said}")

    def migrates(self) -> None:
        for service in ("auth-service", "users-service"):
            for time_ in ("", ", and again"):
                status, said = self.run(self.pod("Job", f"{service}-migrate"))
                say(f"{service}-migrate ends with 0{time_}", f"{status}: {said}" if status else "")

    def serves(self) -> dict[str, subprocess.Popen[bytes]]:
        running = {}
        for service in ("auth-service", "users-service"):
            pod = self.pod("Deployment", service)
            log = (self.folder / f"{service}.log").open("wb")
            running[service] = self.start(pod, stdout=log, stderr=log)
            container = pod.spec["containers"][0]
            probes = ("startupProbe", "livenessProbe", "readinessProbe")
            urls = [self.url(container, container[probe]["httpGet"]) for probe in probes]
            until = time.monotonic() + 20
            while (answers := [status_of(url) for url in urls]) != [200] * 3 and time.monotonic() < until:
                time.sleep(0.1)
            log_text = (self.folder / f"{service}.log").read_text()
            say(f"{service}: its probes succeed", "" if answers == [200] * 3 else f"{answers}\n{log_text}")
        return running

    @staticmethod
    def url(container: dict, asked: dict) -> str:
        port = next(port["containerPort"] for port in container["ports"] if port["name"] == asked["port"])
        return f"http://127.0.0.1:{port}{asked['path']}"

    def makes_a_super_admin(self) -> None:
        """On a terminal, as `kubectl exec --stdin --tty` gives one: through both services to both databases."""
        ours, theirs = pty.openpty()
        done = self.start(
            self.pod("Deployment", "users-service"), "bootstrap-super-admin", "--username", "superadmin",
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 4096):
                said += chunk
        except OSError:
            pass
        os.close(ours)
        fine = done.wait(timeout=30) == 0 and re.search(rb"password: \S{24}\r?\n", said)
        said = re.sub(rb"password: \S+", b"password: ...", said)
        say("users-service makes a super admin on a terminal", "" if fine else f"{done.returncode}: {said.decode()}")

    def speaks_tls(self) -> None:
        """Every gRPC listener, by the names of its Services, and the internal one to nobody without a certificate."""
        if not self.manifests.of("Certificate"):
            return
        authority = self.secrets["auth-service-tls"]["ca.crt"].decode()
        own = self.secrets["users-service-tls"]
        (self.folder / "client.pem").write_bytes(own["tls.crt"] + own["tls.key"])
        for service in self.manifests.of("Service"):
            name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
            namespace = service["metadata"]["namespace"]
            for host in (name, f"{name}.{namespace}.svc"):
                flaw = ""
                for certificate in (None, self.folder / "client.pem"):
                    answered = handshake(port, host, authority, certificate)
                    wanted = certificate is not None or name != "auth-service-internal"
                    if answered is not wanted:
                        flaw = f"with {certificate or 'no certificate'}: {'answered' if answered else 'refused'}"
                say(f"{host}:{port} speaks TLS" + (", with who has a certificate" if "internal" in name else ""), flaw)

    def ends(self, running: dict[str, subprocess.Popen[bytes]]) -> None:
        """Both at once: not ready at once, calls taken for the lame duck, gone in time with 0."""
        begun = time.monotonic()
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        time.sleep(2)
        for service, process in running.items():
            pod = self.pod("Deployment", service)
            container = pod.spec["containers"][0]
            ready = status_of(self.url(container, container["readinessProbe"]["httpGet"]))
            alive = status_of(self.url(container, container["livenessProbe"]["httpGet"]))
            flaw = "" if (ready, alive) == (503, 200) else f"{ready}, {alive}"
            say(f"{service} is not ready and lives once it is to end", flaw)
        time.sleep(max(0.0, begun + 9 - time.monotonic()))
        for service in running:
            port = self.pod("Deployment", service).spec["containers"][0]["ports"][0]["containerPort"]
            try:
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
                say(f"{service} still takes connections after 9 s")
            except OSError as error:
                say(f"{service} still takes connections after 9 s", str(error))
        for service, process in running.items():
            grace = self.pod("Deployment", service).spec["terminationGracePeriodSeconds"]
            try:
                status = process.wait(timeout=max(1.0, begun + grace - time.monotonic()))
                say(f"{service} ends with 0 within {grace} s", f"it ends with {status}" if status else "")
            except subprocess.TimeoutExpired:
                say(f"{service} ends with 0 within {grace} s", "it does not")

    def begins_a_new_epoch(self) -> None:
        """What docs/kubernetes.md has run after a restore, by a pod of auth-service's template."""
        pod = self.pod("Deployment", "auth-service")
        done = self.start(pod, "after-restore", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = done.communicate(timeout=30)[0].decode()
        fine = done.returncode == 0 and "new epoch" in said
        say("auth-service begins a new epoch after a restore", "" if fine else f"{done.returncode}: {said}")


def command(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(arguments)}: {done.stderr}{done.stdout}")


def status_of(url: str) -> int | str:
    try:
        return urllib.request.urlopen(url, timeout=3).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


def handshake(port: int, host: str, authority: str, certificate: Path | None) -> bool:
    """Whether somebody who speaks HTTP/2 over TLS is answered: of a missing certificate one hears after the handshake."""
    context = ssl.create_default_context(cadata=authority)
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(certificate)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            with context.wrap_socket(plain, server_hostname=host) as connection:
                connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
                return connection.selected_alpn_protocol() == "h2" and connection.recv(9) != b""
    except ssl.SSLCertVerificationError as error:
        raise SystemExit(f"{host}: {error}") from error
    except (ssl.SSLError, ConnectionError):
        return False


def main() -> None:
    rendered, folder, binaries = map(Path, sys.argv[1:])
    node = Node(rendered, folder, binaries)
    node.start_postgres()
    try:
        tried(node)
    finally:
        command(str(ROOT / "tests/postgres"), "stop", str(folder / "postgres"), "immediate")


def tried(node: Node) -> None:
    node.refuses_an_old_schema()
    node.migrates()
    running = node.serves()
    node.makes_a_super_admin()
    node.speaks_tls()
    node.ends(running)
    node.begins_a_new_epoch()


if __name__ == "__main__":
    main()
