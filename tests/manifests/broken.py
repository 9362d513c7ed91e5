"""For each check manifests with a mistake in them, and what has to be said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from checks import CHECKS, Context
from model import Document, Manifests


@dataclass
class Case:
    check: str
    target: str
    name: str
    breaks: Callable[[Manifests], Any]
    says: str

    def run(self, targets: dict[str, Manifests], context: Context) -> list[str]:
        manifests = targets[self.target].copy()
        if list(CHECKS[self.check](manifests, context)):
            return ["it says so of what is whole already"]
        self.breaks(manifests)
        found = list(CHECKS[self.check](manifests, context))
        if not any(self.says in flaw for flaw in found):
            return [f"nothing says {self.says!r}, but: {found}"]
        return []


CASES: list[Case] = []


def case(check: str, target: str, name: str, says: str) -> Callable[[Callable[[Manifests], Any]], Any]:
    def keep(breaks: Callable[[Manifests], Any]) -> Any:
        CASES.append(Case(check, target, name, breaks, says))
        return breaks

    return keep


def get(manifests: Manifests, kind: str, name: str) -> Document:
    document = manifests.get(kind, name)
    assert document, f"{kind} {name}"
    return document


def template(manifests: Manifests, name: str, kind: str = "Deployment") -> Document:
    return get(manifests, kind, name)["spec"]["template"]["spec"]


def container(manifests: Manifests, name: str, kind: str = "Deployment") -> Document:
    return template(manifests, name, kind)["containers"][0]


def variable(manifests: Manifests, of: str, name: str, value: str | None, kind: str = "Deployment") -> None:
    """Sets a variable, or takes it away."""
    env = container(manifests, of, kind)["env"]
    env[:] = [entry for entry in env if entry["name"] != name]
    if value is not None:
        env.append({"name": name, "value": value})


def in_file(manifests: Manifests, service: str, old: str, new: str) -> None:
    for config_map in manifests.of("ConfigMap"):
        data = config_map["data"]
        if f"{service}.toml" in data:
            assert old in data[f"{service}.toml"]
            data[f"{service}.toml"] = data[f"{service}.toml"].replace(old, new)


def remove(manifests: Manifests, kind: str, name: str) -> None:
    manifests.documents.remove(get(manifests, kind, name))


def policy(manifests: Manifests, name: str) -> Document:
    return get(manifests, "NetworkPolicy", name)["spec"]


# ------------------------------------------------------------------------------------------------------- settings


@case("settings_are_valid", "trial", "a key that does not exist", "lame_duk")
def _(it: Manifests) -> None:
    in_file(it, "auth-service", "lame_duck", "lame_duk")


@case("settings_are_valid", "trial", "a variable that does not exist", "server.lisen")
def _(it: Manifests) -> None:
    variable(it, "users-service", "USERS__SERVER__LISEN", "0.0.0.0:1")


@case("settings_are_valid", "trial", "a variable of the other service", "is no setting of auth-service")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "USERS__LOG__LEVEL", "info")


@case("settings_are_valid", "trial", "a secret that everyone can read", "can be read by everyone")
def _(it: Manifests) -> None:
    template(it, "auth-service")["volumes"][1]["secret"]["defaultMode"] = 0o444


@case("settings_are_valid", "production", "a key of a Secret that is not there", "users-service: these settings")
def _(it: Manifests) -> None:
    variable(it, "users-service", "USERS__DATABASE__URL_FILE", "/etc/tandem/secrets/url")


@case("settings_are_valid", "production", "a Job without a database", "Job auth-service-migrate")
def _(it: Manifests) -> None:
    variable(it, "auth-service-migrate", "AUTH__DATABASE__URL_FILE", None, "Job")


@case("settings_are_valid", "production", "plaintext that was not asked for", "plaintext beyond loopback")
def _(it: Manifests) -> None:
    variable(it, "users-service", "USERS__SERVER__TLS_CERT_FILE", None)
    variable(it, "users-service", "USERS__SERVER__TLS_KEY_FILE", None)


# ---------------------------------------------------------------------------------------------------------- ports


@case("ports_agree", "trial", "a listener on another port", "its settings say")
def _(it: Manifests) -> None:
    in_file(it, "auth-service", "0.0.0.0:50052", "0.0.0.0:50059")


@case("ports_agree", "trial", "a listener on loopback", "which nobody reaches")
def _(it: Manifests) -> None:
    in_file(it, "users-service", "0.0.0.0:9053", "127.0.0.1:9053")


@case("ports_agree", "production", "liveness that follows the database", "livenessProbe")
def _(it: Manifests) -> None:
    container(it, "auth-service")["livenessProbe"]["httpGet"]["path"] = "/readyz"


@case("services_are_documented", "production", "no headless one", "auth-service-headless: docs/kubernetes.md names it")
def _(it: Manifests) -> None:
    remove(it, "Service", "auth-service-headless")


@case("services_are_documented", "production", "a headless one with an address", "users-service-headless: is not headless")
def _(it: Manifests) -> None:
    del get(it, "Service", "users-service-headless")["spec"]["clusterIP"]


@case("services_are_documented", "production", "one without an address", "Service auth-service: is headless")
def _(it: Manifests) -> None:
    get(it, "Service", "auth-service")["spec"]["clusterIP"] = "None"


@case("services_are_documented", "production", "pods that are not ready", "leads to pods that are not ready")
def _(it: Manifests) -> None:
    get(it, "Service", "auth-service-internal")["spec"]["publishNotReadyAddresses"] = True


@case("services_are_documented", "trial", "one that nobody knows", "does not name it with the port 9051")
def _(it: Manifests) -> None:
    get(it, "Service", "auth-service")["spec"]["ports"].append({"name": "ops", "port": 9051, "targetPort": "ops"})


@case("services_lead_to_ports", "trial", "another port", "leads to grpc")
def _(it: Manifests) -> None:
    get(it, "Service", "users-service")["spec"]["ports"][0]["port"] = 50051


@case("services_lead_to_ports", "trial", "the operations port", "shows the operations port")
def _(it: Manifests) -> None:
    get(it, "Service", "users-service")["spec"]["ports"].append({"name": "ops", "port": 9053, "targetPort": "ops"})


@case("services_lead_to_ports", "trial", "the internal port beside the public one", "shows the internal port")
def _(it: Manifests) -> None:
    get(it, "Service", "auth-service")["spec"]["ports"].append(
        {"name": "internal", "port": 50052, "targetPort": "internal"}
    )


@case("services_lead_to_ports", "trial", "pods of a Job", "selects the pods of Job")
def _(it: Manifests) -> None:
    del get(it, "Service", "auth-service")["spec"]["selector"]["app.kubernetes.io/component"]


@case("names_lead_to_services", "trial", "a Service with one address", "no headless Service")
def _(it: Manifests) -> None:
    in_file(it, "users-service", "dns:///auth-service-internal:50052", "dns:///auth-service:50051")


@case("names_lead_to_services", "trial", "the public listener", "does not lead to the internal listener")
def _(it: Manifests) -> None:
    in_file(it, "users-service", "dns:///auth-service-internal:50052", "dns:///auth-service-headless:50051")


@case("names_lead_to_services", "gateway", "a service that nobody serves", "nobody serves tandem.auth.v2.AuthService")
def _(it: Manifests) -> None:
    match = get(it, "GRPCRoute", "auth-service")["spec"]["rules"][0]["matches"][0]
    match["method"]["service"] = "tandem.auth.v2.AuthService"


@case("names_lead_to_services", "gateway", "the port of the other service", "no Service users-service with the port")
def _(it: Manifests) -> None:
    get(it, "GRPCRoute", "users-service")["spec"]["rules"][0]["backendRefs"][0]["port"] = 50051


# ------------------------------------------------------------------------------------------------------ selectors


@case("selectors_select", "production", "a policy about nobody", "NetworkPolicy auth-service-public: selects no pod")
def _(it: Manifests) -> None:
    policy(it, "auth-service-public")["podSelector"]["matchLabels"]["app.kubernetes.io/name"] = "auth"


@case("selectors_select", "gateway", "a route without a namespace", "is in whatever namespace it is applied to")
def _(it: Manifests) -> None:
    del get(it, "GRPCRoute", "auth-service")["metadata"]["namespace"]


@case("selectors_select", "gateway", "a route elsewhere", "documents are in several namespaces")
def _(it: Manifests) -> None:
    get(it, "GRPCRoute", "auth-service")["metadata"]["namespace"] = "gateways"


@case("selectors_select", "production", "no disruption budget", "no disruption budget is about it")
def _(it: Manifests) -> None:
    remove(it, "PodDisruptionBudget", "users-service")


@case("selectors_select", "production", "all on one node", "may be at one kubernetes.io/hostname")
def _(it: Manifests) -> None:
    del template(it, "auth-service")["topologySpreadConstraints"]


@case("selectors_select", "production", "all in one zone", "may be at one topology.kubernetes.io/zone")
def _(it: Manifests) -> None:
    template(it, "users-service")["topologySpreadConstraints"].pop()


@case("selectors_select", "production", "spread among others", "is spread among pods that it is none of")
def _(it: Manifests) -> None:
    template(it, "users-service")["topologySpreadConstraints"][0]["labelSelector"] = {"matchLabels": {"app": "users"}}


@case("selectors_select", "production", "a token for the API server", "is given a token")
def _(it: Manifests) -> None:
    template(it, "auth-service-migrate", "Job")["automountServiceAccountToken"] = True


@case("selectors_select", "production", "a scaler of nothing", "there is no Deployment auth")
def _(it: Manifests) -> None:
    get(it, "HorizontalPodAutoscaler", "auth-service")["spec"]["scaleTargetRef"]["name"] = "auth"


@case("every_metrics_port_is_scraped", "production", "nobody who scrapes", "there is no PodMonitor")
def _(it: Manifests) -> None:
    remove(it, "PodMonitor", "tandem")


@case("every_metrics_port_is_scraped", "production", "another port", "scrapes")
def _(it: Manifests) -> None:
    get(it, "PodMonitor", "tandem")["spec"]["podMetricsEndpoints"][0]["port"] = "metrics"


@case("every_metrics_port_is_scraped", "production", "one of two", "scrapes")
def _(it: Manifests) -> None:
    get(it, "PodMonitor", "tandem")["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "auth-service"


# --------------------------------------------------------------------------------------------------------- images


@case("images_are_pinned", "trial", "no tag", "has no tag that stays")
def _(it: Manifests) -> None:
    container(it, "postgres", "StatefulSet")["image"] = "postgres"


@case("images_are_pinned", "production", "the latest", "has no tag that stays")
def _(it: Manifests) -> None:
    container(it, "auth-service")["image"] = "registry.example.com:5000/tandem/auth-service:latest"


@case("images_are_pinned", "production", "another version", "is not of this version")
def _(it: Manifests) -> None:
    container(it, "users-service-migrate", "Job")["image"] = "tandem/users-service:0.0.9"


# --------------------------------------------------------------------------------------------------- ends of pods


@case("calls_have_time_to_end", "trial", "killed while it drains", "is killed after 30 s")
def _(it: Manifests) -> None:
    template(it, "auth-service")["terminationGracePeriodSeconds"] = 30


@case("calls_have_time_to_end", "trial", "a longer drain", "may need 61.0 s")
def _(it: Manifests) -> None:
    variable(it, "users-service", "USERS__SERVER__DRAIN", "50s")


@case("calls_have_time_to_end", "production", "gone before clients know", "clients hear of its end after 10 s")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "AUTH__SERVER__LAME_DUCK", "0s")


@case("calls_have_time_to_end", "production", "an old pod that goes first", "only when another one is ready")
def _(it: Manifests) -> None:
    get(it, "Deployment", "auth-service")["spec"]["strategy"]["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0}


@case("calls_have_time_to_end", "production", "a quick rollout", "several pods of a rollout may end")
def _(it: Manifests) -> None:
    get(it, "Deployment", "users-service")["spec"]["minReadySeconds"] = 5


@case("calls_have_time_to_end", "trial", "a budget that no node can be drained under", "does not let one pod go")
def _(it: Manifests) -> None:
    spec = get(it, "PodDisruptionBudget", "auth-service")["spec"]
    del spec["maxUnavailable"]
    spec["minAvailable"] = 1


# ------------------------------------------------------------------------------------------------------ resources


@case("resources_follow_the_settings", "production", "more hashes than cores", "hashes 4 passwords at a time")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "AUTH__PASSWORD__MAX_PARALLEL_HASHES", "4")


@case("resources_follow_the_settings", "production", "no core beside the hashes", "leaves none")
def _(it: Manifests) -> None:
    container(it, "auth-service")["resources"]["limits"]["cpu"] = "2"


@case("resources_follow_the_settings", "production", "more memory for each hash", "and needs")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "AUTH__PASSWORD__ARGON2_MEMORY_KIB", "131072")


@case("resources_follow_the_settings", "trial", "no memory for connections", "may need")
def _(it: Manifests) -> None:
    container(it, "users-service")["resources"]["limits"]["memory"] = "128Mi"


@case("replicas_are_the_scalers", "production", "replicas in the manifests", "takes its replicas back")
def _(it: Manifests) -> None:
    get(it, "Deployment", "auth-service")["spec"]["replicas"] = 3


@case("replicas_are_the_scalers", "production", "a single one", "are not two and more")
def _(it: Manifests) -> None:
    get(it, "HorizontalPodAutoscaler", "users-service")["spec"]["minReplicas"] = 1


@case("connections_are_counted", "production", "a larger pool", "and docs/kubernetes.md says")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "AUTH__DATABASE__MAX_CONNECTIONS", "20")


@case("connections_are_counted", "production", "more replicas", "and docs/kubernetes.md says")
def _(it: Manifests) -> None:
    get(it, "HorizontalPodAutoscaler", "users-service")["spec"]["maxReplicas"] = 10


@case("certificates_have_the_names", "production", "another namespace", "is not for auth-service.id.svc")
def _(it: Manifests) -> None:
    for document in it.documents:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = "id"


@case("certificates_have_the_names", "production", "a name that no certificate has", "no certificate has the name")
def _(it: Manifests) -> None:
    variable(it, "auth-service", "AUTH__WORKLOAD__CLIENTS__0__SAN", "spiffe://cluster.local/ns/tandem/sa/users")


@case("certificates_have_the_names", "production", "plaintext beside TLS", "still allows plaintext")
def _(it: Manifests) -> None:
    variable(it, "users-service", "USERS__SERVER__ALLOW_PLAINTEXT", None)


@case("certificates_have_the_names", "production", "no issuer", "there is no issuer tandem-root")
def _(it: Manifests) -> None:
    remove(it, "Issuer", "tandem-root")


# ----------------------------------------------------------------------------------------------------------- order


def waved(document: Document, wave: str) -> None:
    document["metadata"].setdefault("annotations", {})["argocd.argoproj.io/sync-wave"] = wave


@case("waves_are_in_order", "production", "users-service with auth-service", "does not wait for auth-service")
def _(it: Manifests) -> None:
    waved(get(it, "Deployment", "users-service"), "1")


@case("waves_are_in_order", "trial", "with the Jobs", "auth-service: does not wait for Job users-service-migrate")
def _(it: Manifests) -> None:
    get(it, "Deployment", "auth-service")["metadata"]["annotations"].clear()


@case("waves_are_in_order", "trial", "a Job that stays", "Job auth-service-migrate: is not made anew at each sync")
def _(it: Manifests) -> None:
    del get(it, "Job", "auth-service-migrate")["metadata"]["annotations"]["argocd.argoproj.io/hook"]


@case("waves_are_in_order", "production", "a scaler of what is not there", "is not healthy before there is what it")
def _(it: Manifests) -> None:
    get(it, "HorizontalPodAutoscaler", "users-service")["metadata"]["annotations"].clear()


@case("waves_are_in_order", "production", "a certificate that is late", "comes after pods that need it")
def _(it: Manifests) -> None:
    waved(it.of("Certificate")[0], "3")


# ---------------------------------------------------------------------------------------------------------- routes


def listener(it: Manifests) -> Document:
    return get(it, "Gateway", "tandem")["spec"]["listeners"][0]


@case("routes_reach_their_gateway", "gateway", "no such Gateway", "there is no Gateway tandem in ingress")
def _(it: Manifests) -> None:
    get(it, "GRPCRoute", "auth-service")["spec"]["parentRefs"][0]["namespace"] = "ingress"


@case("routes_reach_their_gateway", "gateway", "a Gateway beside the services", "its proxies are denied everything")
def _(it: Manifests) -> None:
    get(it, "Gateway", "tandem")["metadata"]["namespace"] = "tandem"
    for route in it.of("GRPCRoute"):
        del route["spec"]["parentRefs"][0]["namespace"]


@case("routes_reach_their_gateway", "gateway", "another listener", "has no listener https")
def _(it: Manifests) -> None:
    get(it, "GRPCRoute", "users-service")["spec"]["parentRefs"][0]["sectionName"] = "https"


@case("routes_reach_their_gateway", "gateway", "routes of its own namespace only", "takes no routes of the namespace")
def _(it: Manifests) -> None:
    listener(it)["allowedRoutes"]["namespaces"] = {"from": "Same"}


@case("routes_reach_their_gateway", "gateway", "routes of another namespace", "takes no routes of the namespace tandem")
def _(it: Manifests) -> None:
    namespaces = listener(it)["allowedRoutes"]["namespaces"]
    namespaces["selector"]["matchLabels"]["kubernetes.io/metadata.name"] = "shop"


@case("routes_reach_their_gateway", "gateway", "routes of everybody", "takes routes of everybody")
def _(it: Manifests) -> None:
    listener(it)["allowedRoutes"]["namespaces"] = {"from": "All"}


@case("routes_reach_their_gateway", "gateway", "another kind of routes", "takes no GRPCRoute")
def _(it: Manifests) -> None:
    listener(it)["allowedRoutes"]["kinds"] = [{"kind": "HTTPRoute"}]


@case("routes_reach_their_gateway", "gateway", "another name", "is for id.example.com, and the route for")
def _(it: Manifests) -> None:
    listener(it)["hostname"] = "id.example.com"


@case("routes_reach_their_gateway", "gateway", "a Service elsewhere", "which nobody granted a reference to")
def _(it: Manifests) -> None:
    get(it, "GRPCRoute", "auth-service")["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "shop"


# ----------------------------------------------------------------------------------------------------- restricted


@case("the_namespace_enforces_restricted", "trial", "a weaker standard", "does not enforce")
def _(it: Manifests) -> None:
    labels = get(it, "Namespace", "tandem-trial")["metadata"]["labels"]
    labels["pod-security.kubernetes.io/enforce"] = "baseline"


def restricted(says: str, change: Callable[[Document, Document], Any]) -> None:
    """`change` gets the pod and its container."""

    def breaks(it: Manifests) -> None:
        change(template(it, "postgres", "StatefulSet"), container(it, "postgres", "StatefulSet"))

    CASES.append(Case("pods_are_restricted", "trial", says, breaks, says))


restricted("hostNetwork is set", lambda pod, _: pod.update(hostNetwork=True))
restricted("may run as root", lambda pod, _: pod["securityContext"].pop("runAsNonRoot"))
restricted("runs as root", lambda _, box: box["securityContext"].update(runAsUser=0))
restricted("has no seccomp profile", lambda pod, _: pod["securityContext"].pop("seccompProfile"))
restricted("has no fsGroup", lambda pod, _: pod["securityContext"].pop("fsGroup"))
restricted("may gain privileges", lambda _, box: box["securityContext"].pop("allowPrivilegeEscalation"))
restricted("keeps capabilities", lambda _, box: box["securityContext"].pop("capabilities"))
restricted("has the capability", lambda _, box: box["securityContext"]["capabilities"].update(add=["SYS_TIME"]))
restricted("may write into its image", lambda _, box: box["securityContext"].pop("readOnlyRootFilesystem"))
restricted("is privileged", lambda _, box: box["securityContext"].update(privileged=True))
restricted("is of the kind hostPath", lambda pod, _: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}))
restricted("takes the port", lambda _, box: box["ports"][0].update(hostPort=5432))
restricted("has its probes sent to", lambda _, box: box.update(livenessProbe={"httpGet": {"host": "x", "port": 1}}))
restricted("has no limits of memory", lambda _, box: box["resources"]["limits"].pop("memory"))
restricted("sets the sysctl", lambda pod, _: pod["securityContext"].update(sysctls=[{"name": "kernel.msgmax"}]))


@case("names_are_accepted", "production", "an underscore", "is no name")
def _(it: Manifests) -> None:
    get(it, "Service", "users-service")["metadata"]["name"] = "users_service"


@case("names_are_accepted", "production", "a label with two slashes", "is no key of a label")
def _(it: Manifests) -> None:
    policy(it, "default-deny")["podSelector"]["matchLabels"] = {"clients/tandem/x": "true"}


@case("names_are_accepted", "production", "the same twice", "is there twice")
def _(it: Manifests) -> None:
    it.documents.append(get(it, "Service", "users-service"))
