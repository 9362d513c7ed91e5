"""Routes of the Gateway API: that the Gateway which they name takes them, and that nothing else has to be granted."""

from __future__ import annotations

from collections.abc import Iterator

from checks import Context, check
from model import Document, Manifests, matches


@check
def routes_reach_their_gateway(manifests: Manifests, context: Context) -> Iterator[str]:
    for route in manifests.of("GRPCRoute"):
        name, namespace = f"GRPCRoute {route['metadata']['name']}", route["metadata"].get("namespace")
        for parent in route["spec"]["parentRefs"]:
            there = parent.get("namespace", namespace)
            gateway = manifests.get("Gateway", parent["name"])
            if not gateway or gateway["metadata"].get("namespace") != there:
                yield f"{name}: there is no Gateway {parent['name']} in {there}"
                continue
            if there == namespace:
                yield f"{name}: the Gateway is in {there}, where its proxies are denied everything if they run beside it"
            listeners = [one for one in gateway["spec"]["listeners"] if one["name"] == parent["sectionName"]]
            if not listeners:
                yield f"{name}: the Gateway has no listener {parent['sectionName']}"
            for listener in listeners:
                yield from (f"{name}: the listener {flaw}" for flaw in not_taken(listener, route, there))
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                if backend.get("namespace", namespace) != namespace:
                    yield f"{name}: {backend['name']} is in another namespace, which nobody granted a reference to"


def not_taken(listener: Document, route: Document, there: str) -> Iterator[str]:
    namespace = route["metadata"].get("namespace")
    allowed = listener.get("allowedRoutes", {})
    namespaces = allowed.get("namespaces", {"from": "Same"})
    taken = {
        "All": lambda: True,
        "Same": lambda: there == namespace,
        # The label that every namespace has.
        "Selector": lambda: matches(namespaces["selector"], {"kubernetes.io/metadata.name": str(namespace)}),
    }[namespaces["from"]]()
    if not taken:
        yield f"takes no routes of the namespace {namespace}"
    if namespaces["from"] == "All":
        yield "takes routes of everybody, for our name"
    if "GRPCRoute" not in [kind["kind"] for kind in allowed.get("kinds", [])]:
        yield "takes no GRPCRoute"
    if route["spec"].get("hostnames") != [listener.get("hostname")]:
        yield f"is for {listener.get('hostname')}, and the route for {route['spec'].get('hostnames')}"
