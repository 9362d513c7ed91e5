"""What docker-compose.yaml promises, checked in its text, and each check by copies that are broken: lint.py FILE.

`docker compose config` looks at the rest.
"""

import re
import sys
from pathlib import Path

import broken
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Whose images have a user of their own that is not root.
THEIR_OWN_USER = ("prometheus", "grafana", "jaeger")
ONE_SHOT = ("roles", "auth-migrate", "users-migrate")
# Who speaks to PostgreSQL, beside the services.
DATABASE = ("postgres", "roles")
# By program: 50052 is for who is on the network, with a credential.
PUBLISHED = {
    "auth-service": (50051, 9051),
    "users-service": (50053, 9053),
    "prometheus": (9090,),
    "grafana": (3000,),
    "jaeger": (16686,),
}
# What is asked whether it is healthy, where that is not the service's own program.
HEALTH = {"postgres": "pg_isready", "prometheus": "promtool", "grafana": "curl"}
ENDED, HEALTHY = "service_completed_successfully", "service_healthy"
WAITS = {
    "roles": {"postgres": HEALTHY},
    "auth-migrate": {"roles": ENDED},
    "users-migrate": {"roles": ENDED},
    "auth-service": {"auth-migrate": ENDED},
    "users-service": {"users-migrate": ENDED, "auth-service": HEALTHY},
}
# What a service may say here. Another key (devices, extends, userns_mode, …) may undo what the checks are about.
KEYS = {
    "build", "cap_add", "cap_drop", "command", "depends_on", "entrypoint", "environment", "group_add", "healthcheck", "image",
    "ipc", "logging", "network_mode", "networks", "pid", "pids_limit", "ports", "privileged", "profiles", "read_only", "restart",
    "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
# After server.lame_duck and server.drain: what is left of the process.
REST = 1
# As many as a process may see in a machine of today: two for each of 96 cores. For each of them it has a thread that serves,
# and auth-service one that hashes; the rest look names up and read files. Without them a process hangs at its start.
MOST_CORES, OTHER_THREADS = 192, 32


def problems(compose):
    services = compose["services"]
    for name, service in services.items():
        for problem in of_service(name, service, compose):
            yield f"{name}: {problem}"
    if compose["networks"]["database"].get("internal") is not True:
        yield "the network of the database has a way out"
    for name in ("postgres", "roles", "auth-migrate", "users-migrate"):
        if list(services[name]["networks"]) != ["database"]:
            yield f"{name}: it is on more networks than that of the database"
    for name, service in services.items():
        if "database" in service.get("networks", []) and name not in DATABASE and "build" not in service:
            yield f"{name}: it is on the network of the database"
    for name, secret in compose["secrets"].items():
        if set(secret) != {"file"} or not secret["file"].startswith("${TANDEM_SECRETS:-deploy/compose/secrets}/"):
            yield f"the secret {name} is no file of the folder of secrets"
    for name in set(compose["secrets"]) - {secret for service in services.values() for secret in service.get("secrets", [])}:
        yield f"nobody uses the secret {name}"


def of_service(name, service, compose):
    if service.get("read_only") is not True:
        yield "its root file system is not read-only"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "it keeps capabilities"
    options = service.get("security_opt", [])
    if "no-new-privileges:true" not in options:
        yield "it may get new privileges"
    for option in options:
        if option != "no-new-privileges:true":
            yield f"{option} takes some of its confinement away"
    for key in sorted(set(service) - KEYS):
        yield f"nobody has thought about its {key}"
    if service.get("privileged") or service.get("network_mode") or service.get("pid") or service.get("ipc"):
        yield "it leaves its namespaces"
    if "build" not in service and name not in THEIR_OWN_USER and service.get("user", "0").split(":")[0] in ("0", "root"):
        yield "it runs as root"
    if "build" in service and "user" in service:
        yield "it has another user than its image"
    image = service["image"]
    if "build" not in service and (":" not in image or image.endswith(":latest")):
        yield f"{image} is not an exact version"
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"the port {port} is not on loopback"
        inside = int(str(port).rsplit(":", 1)[1])
        if inside not in PUBLISHED.get(service.get("build", {}).get("target", name), ()):
            yield f"its port {inside} is published"
    for volume in service.get("volumes", []):
        if isinstance(volume, dict) and not volume.get("read_only"):
            yield f"it may write to {volume['source']}"
        source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        if isinstance(volume, str) and source not in compose["volumes"]:
            yield f"{source} is no volume"
        if isinstance(volume, dict) and not source.startswith("deploy/"):
            yield f"it sees {source} of the machine"
    yield from of_secrets(name, service, compose)
    yield from of_its_log(service)
    yield from of_its_order(name, service)
    yield from of_its_life(name, service, compose)


def of_secrets(name, service, compose):
    environment, secrets = service.get("environment") or {}, service.get("secrets", [])
    for secret in secrets:
        if secret not in compose["secrets"]:
            yield f"there is no secret {secret}"
    for variable, value in environment.items():
        is_secret = any(word in variable for word in ("PASSWORD", "TOKEN", "PEPPER", "DATABASE__URL", "SIGNING_KEY"))
        if is_secret and not str(value).startswith("/run/secrets/") and not variable.endswith("ALLOW_PLAINTEXT"):
            yield f"{variable} is no file of a secret"
        if str(value).startswith("/run/secrets/") and str(value).split("/")[-1] not in secrets:
            yield f"{variable} names a secret that it is not given"
    if name != "roles":
        named = {str(value).split("/")[-1] for value in environment.values()}
        for secret in set(secrets) - named:
            yield f"it is given the secret {secret}, which no variable of it names"
    if name.endswith("-migrate") and len(secrets) != 1:
        yield "it is given more than the URL of its database"


def of_its_log(service):
    """All that an engine keeps of a container that writes for ever."""
    logging = service.get("logging") or {}
    options = logging.get("options") or {}
    if logging.get("driver") not in ("local", "json-file") or not {"max-size", "max-file"} <= set(options):
        yield "nothing bounds its log"


def of_its_order(name, service):
    waits = {one: how.get("condition") for one, how in service.get("depends_on", {}).items()}
    target = service.get("build", {}).get("target", name)
    for other, condition in WAITS.get(name if name in ONE_SHOT else target, {}).items():
        if waits.get(other) != condition:
            yield f"it does not wait for {other} ({condition})"


def of_its_life(name, service, compose):
    if name in ONE_SHOT:
        if service.get("restart"):
            yield "it is started again when it is done"
        if not any(waits_for_end(other, name) for other in compose["services"].values()):
            yield "nobody waits until it is done"
    else:
        if service.get("restart") != "unless-stopped":
            yield "it is not started again"
        healthcheck = service.get("healthcheck") or {}
        test = healthcheck.get("test") or ["NONE"]
        if name != "jaeger" and (healthcheck.get("disable") or test[0] == "NONE"):
            yield "nobody looks whether it is healthy"
        elif name != "jaeger" and test[:2] != ["CMD", HEALTH.get(name, f"/{service.get('build', {}).get('target')}")]:
            yield f"it is healthy by {test}, which is not its program"
        elif "build" in service and test[2:] != ["healthcheck"]:
            yield f"its program is not asked by {test}"
    if "build" in service:
        threads = 2 * MOST_CORES + OTHER_THREADS
        if service.get("pids_limit", threads) < threads:
            yield f"{service['pids_limit']} threads are too few for {MOST_CORES} cores, which take {threads}"
        if name not in ONE_SHOT:
            needed = time_to_end(service)
            if seconds(service.get("stop_grace_period", "10s")) <= needed:
                yield f"it is killed while it ends, which may take {needed} s"


def time_to_end(service):
    """By its settings, and by the built-in ones, which the file of settings in deploy/ shows."""
    program = service["build"]["target"]
    shown = (ROOT / f"deploy/{program}.toml").read_text()
    total = REST
    for setting in ("lame_duck", "drain"):
        built_in = re.search(rf'^# {setting} = "(\w+)"', shown, re.M)[1]
        variable = f"{program.removesuffix('-service').upper()}__SERVER__{setting.upper()}"
        total += seconds(service["environment"].get(variable, built_in))
    return total


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def waits_for_end(service, name):
    condition = service.get("depends_on", {}).get(name, {}).get("condition")
    return condition == "service_completed_successfully"


def main():
    [path] = sys.argv[1:]
    compose = yaml.safe_load(Path(path).read_text())
    found = [f"{path}: {problem}" for problem in problems(compose)]
    count, missed = broken.tried(compose, problems, Path(__file__))
    found += missed
    print(*found or [f"{count} broken copies were found to be so"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
