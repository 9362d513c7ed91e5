"""What no generic tool knows: that the manifests agree with the services, with each other and with what is documented.

A check gets the documents of one target and yields what is wrong, a line each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from documented import Documented
from model import Document, Manifests, Pod, matches, quantity, seconds, strings
from settings import Settings

# Of docs/performance.md: resident before the first hash, and of an idle connection; with TLS as docs/kubernetes.md says.
RESIDENT = {"auth-service": 20 * 2**20, "users-service": 14 * 2**20}
STORM = 64 * 2**20
CONNECTION, CONNECTION_TLS = 28 * 2**10, 35 * 2**10
# What grpc-kit lets a listener have.
CONNECTIONS = 10_000
# After the drain: what is left of the process.
REST = 1

LISTENERS = {
    "auth-service": {"grpc": "listen", "internal": "internal_listen", "ops": "ops_listen"},
    "users-service": {"grpc": "listen", "ops": "ops_listen"},
}


class Context:
    def __init__(self, documented: Documented, settings: Settings) -> None:
        self.documented = documented
        self.settings = settings

    def effective(self, manifests: Manifests, pod: Pod) -> Document:
        """Empty when the settings are wrong: the check of the settings says so."""
        return self.settings.of(manifests, pod)[0] or {}


Check = Callable[[Manifests, Context], Iterator[str]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


@check
def settings_are_valid(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.ours():
        prefix = f"{pod.service.removesuffix('-service').upper()}__"
        for variable in pod.spec["containers"][0].get("env", []):
            if not variable["name"].startswith(prefix):
                yield f"{pod.name}: {variable['name']} is no setting of {pod.service}, which would not say so"
        effective, problems = context.settings.of(manifests, pod)
        if effective is None:
            yield f"{pod.name}: {problems}"


@check
def ports_agree(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.ours():
        if not pod.serves:
            continue
        container = pod.spec["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        server = context.effective(manifests, pod).get("server", {})
        listened = {
            name: int(server[key].rsplit(":", 1)[1]) for name, key in LISTENERS[pod.service].items() if key in server
        }
        if server and ports != listened:
            yield f"{pod.name}: has the ports {ports}, and its settings say {listened}"
        for key in LISTENERS[pod.service].values():
            if server and not server[key].startswith("0.0.0.0:"):
                yield f"{pod.name}: server.{key} is {server[key]}, which nobody reaches from outside the pod"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container.get(probe, {}).get("httpGet", {})
            path = "/readyz" if probe == "readinessProbe" else "/livez"
            if (asked.get("port"), asked.get("path")) != ("ops", path):
                yield f"{pod.name}: the {probe} does not ask {path} of the port `ops`"


@check
def only_who_migrates_is_the_owner(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.ours():
        given = {volume["secret"]["secretName"] for volume in pod.spec.get("volumes", []) if "secret" in volume}
        owner = f"{pod.service}-owner"
        if pod.serves and any(name.endswith("-owner") for name in given):
            yield f"{pod.name}: is given the password of the schema's owner"
        if not pod.serves and given != {owner}:
            yield f"{pod.name}: is given {sorted(given)}, and needs {owner} alone"


@check
def services_stay_inside(manifests: Manifests, context: Context) -> Iterator[str]:
    for service in manifests.of("Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP" or service["spec"].get("externalIPs"):
            yield f"Service {service['metadata']['name']}: is reached from outside of the cluster"


@check
def services_are_documented(manifests: Manifests, context: Context) -> Iterator[str]:
    """All that the table names are there, with that port alone, headless or not as it says, and no others."""
    said = {
        place: headless
        for place, (only, headless) in context.documented.services.items()
        if only in (None, manifests.overlay)
    }
    there = {}
    for service in manifests.of("Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        for port in spec["ports"]:
            there[name, port["port"]] = spec.get("clusterIP") == "None"
        if spec.get("publishNotReadyAddresses"):
            yield f"Service {name}: leads to pods that are not ready"
    for name, port in said.keys() - there.keys():
        yield f"Service {name}: docs/kubernetes.md names it with the port {port}, and it is not there"
    for name, port in there.keys() - said.keys():
        yield f"Service {name}: docs/kubernetes.md does not name it with the port {port}"
    for place in said.keys() & there.keys():
        if said[place] != there[place]:
            yield f"Service {place[0]}: is {'' if there[place] else 'not '}headless, and docs/kubernetes.md says otherwise"


@check
def services_lead_to_ports(manifests: Manifests, context: Context) -> Iterator[str]:
    for service in manifests.of("Service"):
        name = f"Service {service['metadata']['name']}"
        pods = manifests.selected({"matchLabels": service["spec"]["selector"]})
        if not pods:
            yield f"{name}: selects no pod"
        for pod in pods:
            if pod.owner["kind"] == "Job":
                yield f"{name}: selects the pods of {pod.name}"
                continue
            ports = {port["name"]: port["containerPort"] for port in pod.spec["containers"][0].get("ports", [])}
            for port in service["spec"]["ports"]:
                there = port["targetPort"]
                if ports.get(there) != port["port"]:
                    yield f"{name}: its port {port['port']} leads to {there} of {pod.name}, which has {ports}"
                if there == "ops":
                    yield f"{name}: shows the operations port"
                if there == "internal" and len(service["spec"]["ports"]) > 1:
                    yield f"{name}: shows the internal port beside others"


@check
def names_lead_to_services(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.ours():
        if pod.service != "users-service":
            continue
        url = context.effective(manifests, pod).get("identity_provider", {}).get("url", "")
        if not url:
            continue
        place = urlsplit(url.replace("dns:///", "dns://"))
        service = manifests.get("Service", place.hostname or "")
        if not service or service["spec"].get("clusterIP") != "None":
            yield f"{pod.name}: identity_provider.url is {url}, and there is no headless Service of that name"
        elif place.port not in [port["port"] for port in service["spec"]["ports"]]:
            yield f"{pod.name}: identity_provider.url is {url}, a port that the Service does not have"
        elif any(port["targetPort"] != "internal" for port in service["spec"]["ports"]):
            yield f"{pod.name}: identity_provider.url is {url}, which does not lead to the internal listener"
    for route in manifests.of("GRPCRoute"):
        name = f"GRPCRoute {route['metadata']['name']}"
        for rule in route["spec"]["rules"]:
            for match in rule["matches"]:
                if match["method"]["service"] not in context.documented.rpc_services:
                    yield f"{name}: nobody serves {match['method']['service']}"
            for backend in rule["backendRefs"]:
                service = manifests.get("Service", backend["name"])
                if not service or backend["port"] not in [port["port"] for port in service["spec"]["ports"]]:
                    yield f"{name}: there is no Service {backend['name']} with the port {backend['port']}"
    for policy in manifests.of("BackendTLSPolicy"):
        for reference in policy["spec"]["targetRefs"]:
            if not manifests.get("Service", reference["name"]):
                yield f"BackendTLSPolicy {policy['metadata']['name']}: there is no Service {reference['name']}"


@check
def selectors_select(manifests: Manifests, context: Context) -> Iterator[str]:
    # A Gateway is somebody else's.
    ours = [document for document in manifests.documents if document["kind"] != "Gateway"]
    namespaces = {document["metadata"].get("namespace") for document in ours} - {None}
    if len(namespaces) > 1:
        yield f"documents are in several namespaces: {sorted(namespaces)}"
    for document in ours:
        if document["kind"] != "Namespace" and "namespace" not in document["metadata"]:
            yield f"{document['kind']} {document['metadata']['name']}: is in whatever namespace it is applied to"
    for document in manifests.of("PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        spec = document["spec"]
        if not manifests.selected(spec["podSelector" if "podSelector" in spec else "selector"]):
            yield f"{document['kind']} {document['metadata']['name']}: selects no pod"
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if not manifests.get(target["kind"], target["name"]):
            yield f"HorizontalPodAutoscaler {scaler['metadata']['name']}: there is no {target['kind']} {target['name']}"
    for pod in manifests.pods():
        account = manifests.get("ServiceAccount", pod.spec.get("serviceAccountName", "default"))
        if not account:
            yield f"{pod.name}: has no service account of its own"
        elif any(place.get("automountServiceAccountToken") is not False for place in (account, pod.spec)):
            yield f"{pod.name}: is given a token for the API server"
        spread = {one["topologyKey"] for one in pod.spec.get("topologySpreadConstraints", [])}
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
            if pod.serves and key not in spread:
                yield f"{pod.name}: all its replicas may be at one {key}"
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not matches(constraint["labelSelector"], pod.labels):
                yield f"{pod.name}: is spread among pods that it is none of"
        if pod.serves and not any(
            matches(budget["spec"]["selector"], pod.labels) for budget in manifests.of("PodDisruptionBudget")
        ):
            yield f"{pod.name}: no disruption budget is about it"


@check
def every_metrics_port_is_scraped(manifests: Manifests, context: Context) -> Iterator[str]:
    if manifests.overlay == "production" and not manifests.of("PodMonitor"):
        yield "there is no PodMonitor, so that nobody scrapes anything"
    for monitor in manifests.of("PodMonitor"):
        name = f"PodMonitor {monitor['metadata']['name']}"
        scraped = {(pod.name, endpoint["port"]) for pod in manifests.selected(monitor["spec"]["selector"])
                   for endpoint in monitor["spec"]["podMetricsEndpoints"]}
        wanted = {(pod.name, "ops") for pod in manifests.ours() if pod.serves}
        if scraped != wanted:
            yield f"{name}: scrapes {sorted(scraped)} and not {sorted(wanted)}"


@check
def secrets_are_documented(manifests: Manifests, context: Context) -> Iterator[str]:
    """Every Secret is made by the script or by cert-manager; every key that a path names is there, and in the table."""
    issued = {certificate["spec"]["secretName"] for certificate in manifests.of("Certificate")}
    made = context.settings.made_by_the_script(manifests)
    for secret in manifests.of("Secret"):
        yield f"Secret {secret['metadata']['name']}: secrets are given by reference, never with the manifests"
    for pod in manifests.pods():
        volumes = {volume["name"]: volume["secret"] for volume in pod.spec["volumes"] if "secret" in volume}
        for volume in volumes.values():
            if volume["secretName"] not in {*issued, *made}:
                yield f"{pod.name}: nobody makes the Secret {volume['secretName']}"
        for container in pod.containers:
            if container.get("envFrom") or any("valueFrom" in variable for variable in container.get("env", [])):
                yield f"{pod.name}: a secret is a file here, not a variable, which every child and every dump has"
            for place in container.get("volumeMounts", []):
                if place["name"] not in volumes:
                    continue
                secret = volumes[place["name"]]["secretName"]
                if not place.get("readOnly"):
                    yield f"{pod.name}: the Secret {secret} is mounted for writing"
                for path in strings([container.get("env", []), container.get("args", [])]):
                    key = path.removeprefix(f"{place['mountPath']}/")
                    if key == path:
                        continue
                    if secret not in issued and (secret, key) not in context.documented.secrets:
                        yield f"{pod.name}: the key {key} of the Secret {secret} is not documented"
                    if secret not in issued and key not in made.get(secret, {}):
                        yield f"{pod.name}: nobody makes the key {key} of the Secret {secret}"


@check
def images_are_pinned(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.pods():
        for container in pod.containers:
            _, _, tag = container["image"].split("@")[0].rsplit("/", 1)[-1].partition(":")
            if tag in ("", "latest"):
                yield f"{pod.name}: the image {container['image']} has no tag that stays"
            elif pod.service and tag != context.documented.version:
                yield f"{pod.name}: the image {container['image']} is not of this version, {context.documented.version}"


@check
def calls_have_time_to_end(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.ours():
        server = context.effective(manifests, pod).get("server")
        if not pod.serves or not server:
            continue
        grace = pod.spec["terminationGracePeriodSeconds"]
        lame_duck, drain = seconds(server["lame_duck"]), seconds(server["drain"])
        if grace < lame_duck + drain + REST:
            yield f"{pod.name}: is killed after {grace} s, and may need {lame_duck + drain + REST} s"
        # Names are looked up every 5 s, and DNS may be 5 s old.
        if lame_duck < 10:
            yield f"{pod.name}: server.lame_duck is {lame_duck} s: clients hear of its end after 10 s"
        spec = pod.owner["spec"]
        if spec.get("minReadySeconds", 0) < grace:
            yield f"{pod.name}: several pods of a rollout may end at once, and the connections are not counted so"
        rolling = spec.get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0 or rolling.get("maxSurge") != 1:
            yield f"{pod.name}: a pod has to go only when another one is ready, one at a time"
        for budget in manifests.of("PodDisruptionBudget"):
            if matches(budget["spec"]["selector"], pod.labels) and budget["spec"].get("maxUnavailable") != 1:
                yield f"PodDisruptionBudget {budget['metadata']['name']}: does not let one pod go at a time"


@check
def resources_follow_the_settings(manifests: Manifests, context: Context) -> Iterator[str]:
    for pod in manifests.ours():
        effective = context.effective(manifests, pod)
        if not pod.serves or not effective:
            continue
        resources = pod.spec["containers"][0]["resources"]
        cpu = {kind: quantity(resources[kind]["cpu"]) for kind in ("requests", "limits")}
        memory = {kind: quantity(resources[kind]["memory"]) for kind in ("requests", "limits")}
        working = RESIDENT[pod.service] + STORM
        listeners = len(LISTENERS[pod.service]) - 1
        if password := effective.get("password"):
            # A number from a variable is shown as it was given.
            permits = int(password["max_parallel_hashes"])
            working += permits * int(password["argon2_memory_kib"]) * 2**10
            if cpu["requests"] != permits:
                yield f"{pod.name}: asks for {cpu['requests']:g} cores and hashes {permits} passwords at a time"
            if cpu["limits"] < permits + 1:
                yield f"{pod.name}: its limit of {cpu['limits']:g} cores leaves none for calls that hash nothing"
        if memory["requests"] < working:
            yield f"{pod.name}: asks for {memory['requests'] / 2**20:.0f} MiB and needs {working / 2**20:.0f}"
        each = CONNECTION_TLS if effective["server"].get("tls_cert_file") else CONNECTION
        full = working + listeners * CONNECTIONS * each
        if memory["limits"] < full:
            yield f"{pod.name}: is killed at {memory['limits'] / 2**20:.0f} MiB and may need {full / 2**20:.0f}"


@check
def replicas_are_the_scalers(manifests: Manifests, context: Context) -> Iterator[str]:
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        name, spec = scaler["metadata"]["name"], scaler["spec"]
        target = manifests.get(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
        if target and "replicas" in target["spec"]:
            yield f"HorizontalPodAutoscaler {name}: whoever applies the manifests takes its replicas back"
        fewest, most = spec["minReplicas"], spec["maxReplicas"]
        if not 2 <= fewest <= most:
            yield f"HorizontalPodAutoscaler {name}: {fewest} to {most} replicas are not two and more"


@check
def connections_are_counted(manifests: Manifests, context: Context) -> Iterator[str]:
    """Replicas times pool, one pod that begins and one that ends included, as the table says."""
    at_most = 0
    for pod in manifests.ours():
        effective = context.effective(manifests, pod)
        if not effective:
            return
        if not pod.serves:
            at_most += 1
            continue
        scaler = manifests.get("HorizontalPodAutoscaler", pod.owner["metadata"]["name"])
        replicas = scaler["spec"]["maxReplicas"] if scaler else pod.owner["spec"]["replicas"]
        # auth-service has one more, which listens for changes.
        each = int(effective["database"]["max_connections"]) + (pod.service == "auth-service")
        at_most += (replicas + 2) * each
    said = context.documented.connections.get(manifests.target)
    if said is not None and said != at_most:
        yield f"PostgreSQL may have {at_most} connections, and docs/kubernetes.md says {said}"


@check
def certificates_have_the_names(manifests: Manifests, context: Context) -> Iterator[str]:
    if not manifests.of("Certificate"):
        return
    named: dict[str, set[str]] = {}
    uris: set[str] = set()
    for certificate in manifests.of("Certificate"):
        spec = certificate["spec"]
        named[spec["secretName"]] = set(spec.get("dnsNames", []))
        uris.update(spec.get("uris", []))
        issuer = manifests.get(spec["issuerRef"]["kind"], spec["issuerRef"]["name"])
        if not issuer:
            yield f"Certificate {certificate['metadata']['name']}: there is no issuer {spec['issuerRef']['name']}"
    for pod in manifests.ours():
        effective = context.effective(manifests, pod)
        for workload in effective.get("workload", {}).get("clients", []):
            # Those of others are somebody else's.
            if workload["allow"] == "full" and workload.get("san") not in uris:
                yield f"{pod.name}: no certificate has the name {workload.get('san')} of {workload['name']}"
            if workload.get("token_file"):
                yield f"{pod.name}: {workload['name']} is let in with a token as well"
        if effective and str(effective["server"]["allow_plaintext"]).lower() != "false":
            yield f"{pod.name}: still allows plaintext"
        if not pod.serves:
            continue
        secret = next(volume["secret"]["secretName"] for volume in pod.spec["volumes"] if volume["name"] == "tls")
        for service in manifests.of("Service"):
            if not matches({"matchLabels": service["spec"]["selector"]}, pod.labels):
                continue
            short = service["metadata"]["name"]
            for name in (short, f"{short}.{pod.namespace}.svc", f"{short}.{pod.namespace}.svc.cluster.local"):
                if name not in named.get(secret, set()):
                    yield f"{pod.name}: its certificate is not for {name}"
        for uri in uris:
            if f"/ns/{pod.namespace}/" not in uri:
                yield f"Certificate: {uri} is not of the namespace {pod.namespace}"
