"""Like broken.py: secrets that are given otherwise than as documented files."""

from __future__ import annotations

from broken import CASES, Case, case, container, in_file, template, variable
from model import Manifests


@case("secrets_are_documented", "trial", "a key that is not documented", "is not documented")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "AUTH__TOKEN__VERIFICATION_KEY_FILES", "/etc/tandem/secrets/old-key.pem")


@case("secrets_are_documented", "trial", "a Secret that nobody makes", "nobody makes the Secret authentication")
def _(it: Manifests) -> None:
    template(it, "auth-service")["volumes"][1]["secret"]["secretName"] = "authentication"


@case("secrets_are_documented", "trial", "a secret in a variable", "a secret is a file here")
def _(it: Manifests) -> None:
    container(it, "auth-service")["env"].append(
        {"name": "AUTH__WORKLOAD__TOKEN", "valueFrom": {"secretKeyRef": {"name": "workload-token", "key": "token"}}}
    )


@case("secrets_are_documented", "trial", "a Secret in the manifests", "given by reference")
def _(it: Manifests) -> None:
    it.documents.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "auth-service"}, "data": {}})


def written_out(target: str, of: str, name: str, value: str, says: str | None = None, kind: str = "Deployment") -> None:
    def breaks(it: Manifests) -> None:
        variable(it, of, name, value, kind)

    CASES.append(Case("no_secret_is_written_out", target, name, breaks, says or f"{name} has its value written out"))


for database in ("DATABASE__URL", "DATABASE__DIRECT_URL"):
    for prefix in ("auth", "users"):
        url = f"postgres://tandem_{prefix}:hunter22@db.example.com/tandem_{prefix}"
        written_out("production", f"{prefix}-service", f"{prefix.upper()}__{database}", url)
written_out("production", "users-service", "USERS__DATABASE__REPLICA_URL", "postgres://db.example.com/x?password=hunter22")
written_out("production", "auth-service-migrate", "AUTH__DATABASE__URL", "postgres://a:hunter22@db/x", kind="Job")
written_out("production", "auth-service", "AUTH__PASSWORD__PEPPERS", "1:aGlkZGVu")
written_out("trial", "auth-service", "AUTH__WORKLOAD__TOKEN", "hidden")
written_out("trial", "users-service", "USERS__IDENTITY_PROVIDER__TOKEN", "hidden")
written_out("trial", "users-service", "USERS__IDENTITY_PROVIDER__URL", "http://a:hunter22@auth-service:50052")
written_out("trial", "postgres", "POSTGRES_PASSWORD", "hidden", kind="StatefulSet")
written_out("trial", "users-service", "USERS__LOG__LEVEL", "postgres://a:b@c", "Deployment users-service: has a password")


def written_in_file(service: str, key: str, heading: str, value: str) -> None:
    def breaks(it: Manifests) -> None:
        in_file(it, service, f"[{heading}]\n", f'[{heading}]\n{key} = "{value}"\n')

    CASES.append(
        Case("no_secret_is_written_out", "trial", f"{heading}.{key} in a file", breaks, f"{heading}.{key} has its value")
    )


written_in_file("auth-service", "url", "database", "postgres://tandem_auth:hunter22@db/tandem_auth")
written_in_file("users-service", "url", "database", "postgres://tandem_users:hunter22@db/tandem_users")
written_in_file("auth-service", "peppers", "password", "1:aGlkZGVu")
written_in_file("users-service", "token", "identity_provider", "hidden")


@case("no_secret_is_written_out", "trial", "a private key", "has a password or a private key in it")
def _(it: Manifests) -> None:
    it.of("ConfigMap")[0]["data"]["key.pem"] = "-----BEGIN PRIVATE KEY-----"
