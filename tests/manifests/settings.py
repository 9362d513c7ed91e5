"""The settings that a pod would have: its files put where it finds them, and the real binary asked what it makes of them.

Paths are moved into a folder of our own; everything else is as the pod has it. The mode of every file is what the
manifest says, so that the services refuse here what they would refuse there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

import yaml

from model import Document, Manifests, Pod


DATABASE_HOST, DATABASE_PASSWORD = "db.example.com", "0123456789abcdef"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
USAGES = {"server auth": "serverAuth", "client auth": "clientAuth"}


class Settings:
    """Asks the binaries; the same question once."""

    def __init__(self, binaries: Path, secrets: Path, work: Path) -> None:
        self.binaries = binaries
        self.work = work
        self.answers: dict[str, tuple[dict | None, str]] = {}
        self.authority = Authority(work / "authority")
        self.certificates: dict[str, dict[str, bytes]] = {}
        # What the script makes for a trial, and for production.
        self.secrets = {kind: load_secrets(secrets, kind, self.authority) for kind in ("trial", "production")}

    def made_by_the_script(self, manifests: Manifests) -> dict[str, dict[str, bytes]]:
        trial = any("postgres" in document["metadata"]["name"] for document in manifests.of("StatefulSet"))
        # A token is for who has no certificates.
        return self.secrets["trial" if trial or not manifests.of("Certificate") else "production"]

    def of(self, manifests: Manifests, pod: Pod) -> tuple[dict | None, str]:
        """The effective settings, or none and what the service says against them."""
        secrets = dict(self.made_by_the_script(manifests))
        for certificate in manifests.of("Certificate"):
            secrets[certificate["spec"]["secretName"]] = self.issued(certificate)
        key = hashlib.sha256(
            json.dumps([pod.spec, serving(manifests, pod), manifests.of("ConfigMap", "Certificate"), sorted(secrets)], sort_keys=True).encode()
        ).hexdigest()
        if key not in self.answers:
            with tempfile.TemporaryDirectory(dir=self.work) as folder:
                self.answers[key] = self.ask(manifests, pod, secrets, Path(folder))
        return self.answers[key]

    def ask(
        self, manifests: Manifests, pod: Pod, secrets: dict[str, dict[str, bytes]], folder: Path
    ) -> tuple[dict | None, str]:
        container = pod.spec["containers"][0]
        spec = serving(manifests, pod)
        mounts = mount(manifests, spec, secrets, folder) + mount(manifests, pod.spec, secrets, folder)

        def moved(text: str) -> str:
            return f"{folder}{text}" if any(text.startswith(f"{place}/") for place in mounts) else text

        variables = [
            variable
            for variable in spec.get("containers", [{}])[0].get("env", [])
            if "__DATABASE__" not in variable["name"]
        ] + container.get("env", [])
        environment = {variable["name"]: moved(variable.get("value", "")) for variable in variables}
        *options, _ = container["args"]
        command = [str(self.binaries / str(pod.service)), *map(moved, options), "config"]
        done = subprocess.run([*command, "check"], env=environment, capture_output=True, text=True)
        if done.returncode:
            return None, (done.stderr + done.stdout).replace(str(folder), "").strip()
        shown = subprocess.run([*command, "print"], env=environment, capture_output=True, text=True, check=True)
        return tomllib.loads(shown.stdout), ""

    def issued(self, certificate: Document) -> dict[str, bytes]:
        """What cert-manager would put into the Secret."""
        spec = json.dumps(certificate["spec"], sort_keys=True)
        if spec not in self.certificates:
            self.certificates[spec] = self.authority.issue(certificate["spec"])
        return self.certificates[spec]


def serving(manifests: Manifests, pod: Pod) -> Document:
    """For a pod that migrates, which needs the settings of the database alone, the one whose other settings it goes with."""
    if pod.serves or pod.service is None:
        return {}
    return next((other.spec for other in manifests.ours() if other.serves and other.service == pod.service), {})


def mount(
    manifests: Manifests, spec: Document, secrets: dict[str, dict[str, bytes]], folder: Path
) -> list[str]:
    """Puts the files of every volume where it is mounted; a Secret that nobody makes is an empty folder."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    mounts = []
    for place in spec.get("containers", [{}])[0].get("volumeMounts", []):
        volume = volumes.get(place["name"], {})
        path = folder / place["mountPath"].lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        mounts.append(place["mountPath"])
        if "configMap" in volume:
            config_map = manifests.get("ConfigMap", volume["configMap"]["name"]) or {}
            for name, text in config_map.get("data", {}).items():
                (path / name).write_text(text)
        elif "secret" in volume:
            mode = volume["secret"].get("defaultMode", 0o644)
            for name, content in secrets.get(volume["secret"]["secretName"], {}).items():
                (path / name).write_bytes(content)
                (path / name).chmod(mode)
    return mounts


def load_secrets(script: Path, kind: str, authority: Authority) -> dict[str, dict[str, bytes]]:
    """Runs deploy/kubernetes/secrets, for production with the URLs of an example and the authority of its database."""
    arguments = [str(script), kind]
    if kind == "production":
        folder = authority.folder / "urls"
        folder.mkdir()
        for role in ("tandem_auth", "tandem_auth_owner", "tandem_users", "tandem_users_owner"):
            where = "owner" if role.endswith("_owner") else "secrets"
            (folder / role).write_text(
                f"postgres://{role}:{DATABASE_PASSWORD}@{DATABASE_HOST}/{role.removesuffix('_owner')}"
                f"?sslmode=verify-full&sslrootcert=/etc/tandem/{where}/database-ca.crt\n"
            )
        (folder / "database-ca.crt").write_bytes(authority.certificate)
        arguments.append(str(folder))
    made = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return {
        secret["metadata"]["name"]: {key: base64.b64decode(value) for key, value in secret["data"].items()}
        for secret in yaml.safe_load_all(made.stdout)
    }


class Authority:
    """Signs certificates by their specification, as the Issuer would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.openssl("req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "1", "-subj", "/CN=Tandem")
        self.certificate = (folder / "ca.crt").read_bytes()

    def openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def issue(self, spec: Document) -> dict[str, bytes]:
        if spec.get("isCA"):
            return {"tls.crt": self.certificate, "tls.key": (self.folder / "ca.key").read_bytes()}
        names = [f"DNS:{name}" for name in spec.get("dnsNames", [])] + [f"URI:{uri}" for uri in spec.get("uris", [])]
        usages = [USAGES[usage] for usage in spec["usages"] if usage in USAGES]
        (self.folder / "extensions").write_text(
            "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
            f"extendedKeyUsage = {', '.join(usages)}\nsubjectAltName = {', '.join(names)}\n"
        )
        self.openssl("req", *KEY, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/")
        self.openssl(
            "x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "1", "-out", "tls.crt",
            "-extfile", "extensions",
        )  # fmt: skip
        return {name: (self.folder / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")}
