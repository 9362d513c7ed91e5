"""Network policies: that they are the documented ones, and that each way is open at both ends or at none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from checks import Context, check
from model import Document, Manifests, Peer, Pod, Port, peer, port


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
    """Each opens exactly what the rows of the table say that name it: about whom, for whom, which ports."""
    flows = [flow for flow in context.documented.flows if flow.is_in(manifests)]
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in manifests.of("NetworkPolicy")}
    for name in sorted({name for flow in flows for name in flow.policies} - policies.keys()):
        yield f"NetworkPolicy {name}: is in the table of docs/kubernetes.md, and is not there"
    for name, spec in policies.items():
        rows = [flow for flow in flows if name in flow.policies]
        # Nothing is opened by one without rules.
        if not rules(spec):
            continue
        if not rows:
            yield f"NetworkPolicy {name}: is not in the table of docs/kubernetes.md"
            continue
        directions = [way for way in ("Ingress", "Egress") if spec.get(way.lower())]
        if len(directions) != 1 or spec.get("policyTypes") != directions:
            yield f"NetworkPolicy {name}: is about {spec.get('policyTypes')} and has rules for {directions}"
            continue
        inward = directions == ["Ingress"]
        about = {flow.whom if inward else flow.who for flow in rows}
        if about != {peer({"podSelector": spec["podSelector"]})}:
            yield f"NetworkPolicy {name}: is about {spec['podSelector']}, and docs/kubernetes.md says {shown(about)}"
        said = Counter((flow.who if inward else flow.whom, one) for flow in rows for one in flow.ports)
        opened = Counter(way for rule in rules(spec) for way in ways(rule, context.documented.addresses))
        for way in (opened - said).keys():
            yield f"NetworkPolicy {name}: opens {shown(way)}, which docs/kubernetes.md does not say"
        for way in (said - opened).keys():
            yield f"NetworkPolicy {name}: does not open {shown(way)}, as docs/kubernetes.md says"


def ways(rule: Document, addresses: set[str]) -> Iterator[tuple[Peer | str, Port | str]]:
    """Of no peers, and of no ports, the API server makes all of them."""
    for there in rule.get("from", rule.get("to")) or [None]:
        side = "everybody" if there is None else peer(there)
        if "to" in rule and side[0] == "ipBlock" and side[1] in addresses and not side[2]:
            side = ("address",)
        for one in rule.get("ports") or [None]:
            yield side, "every port" if one is None else port(one)


def shown(value: object) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(f"{key} {operator} {'|'.join(values)}" for key, operator, values in sorted(value)) + "}"
    if isinstance(value, (tuple, set)):
        return "(" + ", ".join(shown(one) for one in value) + ")"
    return str(value)


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
