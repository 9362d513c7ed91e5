"""Copies of docker-compose.yaml with a mistake in each, and what lint.py has to say about it."""

import ast
import copy
import re

CASES = []


def case(says):
    def keep(breaks):
        CASES.append((says, breaks))
        return breaks

    return keep


def service(says, name, **changes):
    """A service with other entries; None takes one away."""

    def breaks(compose):
        for key, value in changes.items():
            compose["services"][name].pop(key, None)
            if value is not None:
                compose["services"][name][key] = value

    CASES.append((f"{name}: {says}", breaks))


def variable(says, name, **changes):
    def breaks(compose):
        environment = compose["services"][name]["environment"] | changes
        compose["services"][name]["environment"] = {key: value for key, value in environment.items() if value is not None}

    CASES.append((f"{name}: {says}", breaks))


service("its root file system is not read-only", "postgres", read_only=None)
service("its root file system is not read-only", "auth-service-2", read_only=False)
service("it keeps capabilities", "auth-service", cap_drop=["NET_RAW"])
service("it keeps capabilities", "grafana", cap_add=["CHOWN"])
service("it may get new privileges", "users-service", security_opt=[])
service("it leaves its namespaces", "roles", network_mode="host")
service("it leaves its namespaces", "prometheus", privileged=True)
service("it leaves its namespaces", "jaeger", pid="host")
service("it leaves its namespaces", "users-service-2", ipc="host")
service("it runs as root", "postgres", user=None)
service("it runs as root", "roles", user="0:999")
service("it has another user than its image", "auth-migrate", user="1000")
service("postgres is not an exact version", "postgres", image="postgres")
service("prom/prometheus:latest is not an exact version", "prometheus", image="prom/prometheus:latest")
service("the port 50051:50051 is not on loopback", "auth-service", ports=["50051:50051"])
service("the port 0.0.0.0:3000:3000 is not on loopback", "grafana", ports=["0.0.0.0:3000:3000"])
service("it may write to deploy/postgres", "roles", volumes=[{"type": "bind", "source": "deploy/postgres", "target": "/x"}])
service("/var/run/docker.sock is no volume", "grafana", volumes=["/var/run/docker.sock:/var/run/docker.sock:ro"])
service("./deploy is no volume", "postgres", volumes=["./deploy:/deploy"])
service("it sees / of the machine", "roles", volumes=[{"type": "bind", "source": "/", "target": "/x", "read_only": True}])
service("seccomp:unconfined takes", "auth-service", security_opt=["no-new-privileges:true", "seccomp:unconfined"])
service("nobody has thought about its devices", "users-service", devices=["/dev/mem"])
service("nobody has thought about its userns_mode", "postgres", userns_mode="host")
service("its port 50052 is published", "auth-service-2", ports=["127.0.0.1:50052:50052"])
service("its port 5432 is published", "postgres", ports=["127.0.0.1:5432:5432"])
service("it is on the network of the database", "grafana", networks={"default": {}, "database": {}})
service("it is on the network of the database", "jaeger", networks=["database"])
service("nothing bounds its log", "auth-service", logging=None)
service("nothing bounds its log", "postgres", logging={"driver": "json-file", "options": {"max-size": "10m"}})
service("nothing bounds its log", "jaeger", logging={"driver": "none"})
service("there is no secret password", "roles", secrets=["password"])
service("it is started again when it is done", "users-migrate", restart="always")
service("it is not started again", "users-service", restart=None)
service("it is not started again", "postgres", restart="on-failure")
service("nobody looks whether it is healthy", "grafana", healthcheck=None)
service("nobody looks whether it is healthy", "auth-service", healthcheck={"disable": True})
service("nobody looks whether it is healthy", "users-service-2", healthcheck={"test": ["NONE"]})
service("it is healthy by", "users-service", healthcheck={"test": ["CMD", "/auth-service", "healthcheck"]})
service("it is healthy by", "postgres", healthcheck={"test": ["CMD", "true"]})
service("it is healthy by", "prometheus", healthcheck={"test": "exit 0"})
service("its program is not asked by", "auth-service-2", healthcheck={"test": ["CMD", "/auth-service", "--version"]})
service("it does not wait for postgres (service_healthy)", "roles", depends_on=None)
service("it does not wait for roles (service_completed_successfully)", "auth-migrate", depends_on=None)
service("it does not wait for auth-service (service_healthy)", "users-service-2",
        depends_on={"users-migrate": {"condition": "service_completed_successfully"}})
service("it does not wait for users-migrate (service_completed_successfully)", "users-service",
        depends_on={"auth-service": {"condition": "service_healthy"}})
service("200 threads are too few", "auth-service", pids_limit=200)
# What the engine gives where nothing is said.
service("it is killed while it ends", "users-service", stop_grace_period=None)
service("it is killed while it ends", "auth-service-2", stop_grace_period="27s")
variable("it is killed while it ends, which may take 31 s", "auth-service", AUTH__SERVER__LAME_DUCK="10s")
variable("it is killed while it ends, which may take 61 s", "users-service-2", USERS__SERVER__DRAIN="1m")
variable("POSTGRES_PASSWORD is no file of a secret", "postgres", POSTGRES_PASSWORD="secret")
variable("AUTH__DATABASE__URL is no file of a secret", "auth-service", AUTH__DATABASE__URL="postgres://…")
variable("AUTH__PASSWORD__PEPPERS_FILE is no file of a secret", "auth-service", AUTH__PASSWORD__PEPPERS_FILE="/pepper")
variable("USERS__X_FILE names a secret that it is not given", "users-service", USERS__X_FILE="/run/secrets/pepper")
variable("it is given the secret pepper, which no variable", "auth-service", AUTH__PASSWORD__PEPPERS_FILE=None)


@case("auth-migrate: it is given more than the URL of its database")
def _(compose):
    migrate = compose["services"]["auth-migrate"]
    migrate["secrets"] = [*migrate["secrets"], "pepper"]


@case("auth-migrate: nobody waits until it is done")
def _(compose):
    for one in ("auth-service", "auth-service-2"):
        compose["services"][one]["depends_on"] = {"auth-migrate": {"condition": "service_started"}}


@case("the network of the database has a way out")
def _(compose):
    compose["networks"]["database"] = {}


@case("postgres: it is on more networks than that of the database")
def _(compose):
    compose["services"]["postgres"]["networks"] = ["default", "database"]


@case("users-migrate: it is on more networks than that of the database")
def _(compose):
    compose["services"]["users-migrate"]["networks"] = ["default"]


@case("the secret pepper is no file of the folder of secrets")
def _(compose):
    compose["secrets"]["pepper"] = {"environment": "PEPPER"}


@case("the secret workload-token is no file of the folder of secrets")
def _(compose):
    compose["secrets"]["workload-token"] = {"file": "deploy/compose/roles"}


@case("nobody uses the secret old-pepper")
def _(compose):
    compose["secrets"]["old-pepper"] = {"file": "old-pepper"}


def tried(compose, problems, checks):
    """How many copies there are, and what is wrong: with one that is not found, and a check that found none of them."""
    flaws, said = [], set()
    for says, breaks in CASES:
        # What is shared by an anchor is shared by what was read as well: each copy has everything of its own.
        mine = unshared(compose)
        breaks(mine)
        found = set(problems(mine))
        said |= found
        if not any(says in problem for problem in found):
            flaws.append(f"nothing says {says!r} of a broken copy, but: {sorted(found)}")
    for pattern in patterns(checks):
        if not any(re.search(pattern, problem) for problem in said):
            flaws.append(f"no broken copy shows that this is found: {pattern}")
    return len(CASES), flaws


def unshared(value):
    if isinstance(value, dict):
        return {key: unshared(one) for key, one in value.items()}
    if isinstance(value, list):
        return [unshared(one) for one in value]
    return copy.copy(value)


def patterns(checks):
    """What every `yield` of the checks says, as a regular expression."""
    for node in ast.walk(ast.parse(checks.read_text())):
        if not isinstance(node, ast.Yield):
            continue
        parts = node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value]
        texts = [re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts]
        yield "".join(texts) + "$"
