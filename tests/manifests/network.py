"""Network policies: that they are the documented ones, and that each way is open at both ends or at none."""

from __future__ import annotations

from collections.abc import Iterator

from checks import Context, check
from model import Document, Manifests, Pod


@check
def everything_else_is_denied(manifests: Manifests, context: Context) -> Iterator[str]:
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        if not spec["podSelector"] and set(spec["policyTypes"]) == {"Ingress", "Egress"}:
            if not spec.get("ingress") and not spec.get("egress"):
                return
    yield "no network policy denies everything that no other one allows"


@check
def policies_are_documented(manifests: Manifests, context: Context) -> Iterator[str]:
    for policy in manifests.of("NetworkPolicy"):
        name, spec = policy["metadata"]["name"], policy["spec"]
        if not rules(spec):
            continue
        ports = {port["port"] for rule in rules(spec) for port in rule.get("ports", [])}
        said = context.documented.flows.get(name)
        if said is None:
            yield f"NetworkPolicy {name}: is not in the table of docs/kubernetes.md"
        elif said != ports:
            yield f"NetworkPolicy {name}: opens {sorted(ports)}, and docs/kubernetes.md says {sorted(said)}"
        for rule in rules(spec):
            if not rule.get("ports"):
                yield f"NetworkPolicy {name}: opens every port"
            if not rule.get("from", rule.get("to")):
                yield f"NetworkPolicy {name}: opens its ports to everybody"


@check
def who_is_on_the_other_side_is_documented(manifests: Manifests, context: Context) -> Iterator[str]:
    for policy in manifests.of("NetworkPolicy"):
        name = policy["metadata"]["name"]
        said = context.documented.callers.get(name, set())
        for rule in rules(policy["spec"]):
            for peer in rule.get("from", rule.get("to", [])):
                if "ipBlock" in peer:
                    if "from" in rule or not peer["ipBlock"]["cidr"].endswith(("/32", "/128")):
                        yield f"NetworkPolicy {name}: opens a way to all of {peer['ipBlock']['cidr']}"
                elif "namespaceSelector" in peer:
                    yield from (f"NetworkPolicy {name}: {flaw}" for flaw in not_as_said(peer, said))


def not_as_said(peer: Document, said: set[str]) -> Iterator[str]:
    """What is wrong with a peer beyond its own namespace, by the labels and names that are said of it."""
    asked: dict[str, str] = {}
    for selector in (peer["namespaceSelector"], peer.get("podSelector", {})):
        if set(selector) - {"matchLabels"}:
            yield "says who by more than labels"
        asked |= selector.get("matchLabels", {})
    if not peer["namespaceSelector"].get("matchLabels"):
        yield "opens a way to every namespace"
    namespace = asked.pop("kubernetes.io/metadata.name", None)
    if namespace and namespace not in said:
        yield f"is for the namespace {namespace}, which docs/kubernetes.md does not name"
    given = {f"{key}={value}" for key, value in asked.items()}
    labels = {one for one in said if "=" in one}
    if given != labels:
        yield f"is for {sorted(given)}, and docs/kubernetes.md says {sorted(labels)}"


@check
def policies_open_ports_that_exist(manifests: Manifests, context: Context) -> Iterator[str]:
    for policy in manifests.of("NetworkPolicy"):
        name, spec = policy["metadata"]["name"], policy["spec"]
        for rule in spec.get("ingress", []):
            for pod in manifests.selected(spec["podSelector"]):
                yield from missing(name, rule, pod)
        for rule in spec.get("egress", []):
            for peer in rule.get("to", []):
                if "namespaceSelector" in peer or "ipBlock" in peer:
                    continue
                pods = manifests.selected(peer["podSelector"])
                if not pods:
                    yield f"NetworkPolicy {name}: leads to no pod"
                for pod in pods:
                    yield from missing(name, rule, pod)


@check
def ways_are_open_at_both_ends(manifests: Manifests, context: Context) -> Iterator[str]:
    """Inside of the namespace."""
    out: set[tuple[str, str, int]] = set()
    into: set[tuple[str, str, int]] = set()
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        for here in manifests.selected(spec["podSelector"]):
            for rule in rules(spec):
                for peer in rule.get("to", rule.get("from", [])):
                    if "namespaceSelector" in peer or "ipBlock" in peer:
                        continue
                    for there in manifests.selected(peer["podSelector"]):
                        for port in rule.get("ports", []):
                            if "to" in rule:
                                out.add((here.name, there.name, port["port"]))
                            else:
                                into.add((there.name, here.name, port["port"]))
    for way in sorted(out - into):
        yield "{} may call {} at {}, who may not be called".format(*way)
    for way in sorted(into - out):
        yield "{} may not call {} at {}, who may be called".format(*way)
    needed = {
        (caller.name, served.name, 50052)
        for caller in manifests.ours() if caller.service == "users-service"
        for served in manifests.ours() if served.serves and served.service == "auth-service"
    }
    for way in sorted(needed - out):
        yield "{} cannot call {} at {}".format(*way)


def rules(spec: Document) -> list[Document]:
    return [*spec.get("ingress", []), *spec.get("egress", [])]


def missing(policy: str, rule: Document, pod: Pod) -> Iterator[str]:
    ports = {port["containerPort"] for container in pod.containers for port in container.get("ports", [])}
    for port in rule.get("ports", []):
        if port["port"] not in ports:
            yield f"NetworkPolicy {policy}: opens {port['port']}, which {pod.name} does not have"
