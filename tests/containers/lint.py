"""What docker-compose.yaml promises, checked in its text: lint.py FILE…. `docker compose config` looks at the rest."""

import sys

import yaml

# Whose images have a user of their own that is not root.
THEIR_OWN_USER = ("prometheus", "grafana", "jaeger")
ONE_SHOT = ("roles", "auth-migrate", "users-migrate")


def problems(file):
    compose = yaml.safe_load(file)
    services = compose["services"]
    for name, service in services.items():
        yield from (f"{name}: {problem}" for problem in of_service(name, service, compose))
    if compose["networks"]["database"].get("internal") is not True:
        yield "the network of the database has a way out"
    for name in ("postgres", "roles", "auth-migrate", "users-migrate"):
        if list(services[name]["networks"]) != ["database"]:
            yield f"{name}: it is on more networks than that of the database"
    for name in set(compose["secrets"]) - {secret for service in services.values() for secret in service.get("secrets", [])}:
        yield f"nobody uses the secret {name}"


def of_service(name, service, compose):
    if service.get("read_only") is not True:
        yield "its root file system is not read-only"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "it keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it may get new privileges"
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
    for secret in service.get("secrets", []):
        if secret not in compose["secrets"]:
            yield f"there is no secret {secret}"
    for variable, value in (service.get("environment") or {}).items():
        is_secret = any(word in variable for word in ("PASSWORD", "TOKEN", "PEPPER", "DATABASE__URL", "SIGNING_KEY"))
        if is_secret and not str(value).startswith("/run/secrets/") and not variable.endswith("ALLOW_PLAINTEXT"):
            yield f"{variable} is no file of a secret"
        if str(value).startswith("/run/secrets/") and str(value).split("/")[-1] not in service.get("secrets", []):
            yield f"{variable} names a secret that it is not given"
    if name != "roles":
        named = {str(value).split("/")[-1] for value in (service.get("environment") or {}).values()}
        for secret in set(service.get("secrets", [])) - named:
            yield f"it is given the secret {secret}, which no variable of it names"
    if name.endswith("-migrate") and len(service.get("secrets", [])) != 1:
        yield "it is given more than the URL of its database"
    for volume in service.get("volumes", []):
        if isinstance(volume, dict) and not volume.get("read_only"):
            yield f"it may write to {volume['source']}"
    if name in ONE_SHOT:
        if service.get("restart"):
            yield "it is started again when it is done"
        if not any(waits_for_end(other, name) for other in compose["services"].values()):
            yield "nobody waits until it is done"
    else:
        if service.get("restart") != "unless-stopped":
            yield "it is not started again"
        if "healthcheck" not in service and name != "jaeger":
            yield "nobody looks whether it is healthy"


def waits_for_end(service, name):
    condition = service.get("depends_on", {}).get(name, {}).get("condition")
    return condition == "service_completed_successfully"


def main():
    found = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            found += [f"{path}: {problem}" for problem in problems(file)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found or not sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
