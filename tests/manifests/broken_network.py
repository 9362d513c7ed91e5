"""Like broken.py: who may reach whom, and who is whose owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broken import CASES, Case, case, get, policy, remove, template
from model import Document, Manifests


@case("everything_else_is_denied", "production", "no such policy", "denies everything")
def _(it: Manifests) -> None:
    remove(it, "NetworkPolicy", "default-deny")


@case("everything_else_is_denied", "production", "one direction only", "denies everything")
def _(it: Manifests) -> None:
    policy(it, "default-deny")["policyTypes"] = ["Ingress"]


@case("policies_are_documented", "production", "another one", "is not in the table")
def _(it: Manifests) -> None:
    get(it, "NetworkPolicy", "names")["metadata"]["name"] = "dns"


@case("policies_are_documented", "production", "one less", "users-service-public: is in the table")
def _(it: Manifests) -> None:
    remove(it, "NetworkPolicy", "users-service-public")


def peers(it: Manifests, name: str, way: str = "ingress") -> list[Document]:
    return policy(it, name)[way][0]["from" if way == "ingress" else "to"]


def opened(says: str, name: str, change: Callable[[Manifests], Any], target: str = "production") -> None:
    CASES.append(Case("policies_are_documented", target, name, change, says))


def ports(it: Manifests, name: str, way: str = "ingress") -> list[Document]:
    return policy(it, name)[way][0]["ports"]


WORLD = {"ipBlock": {"cidr": "0.0.0.0/0"}}
CLIENTS = {"namespaceSelector": {"matchLabels": {"clients.tandem/public": "true"}}}
opened("auth-service-public: opens", "a port more", lambda it: ports(it, "auth-service-public").append({"port": 50052}))
opened("does not open", "a port less", lambda it: ports(it, "names", "egress").pop())
opened("every port", "every port", lambda it: policy(it, "auth-service-internal")["ingress"][0].pop("ports"))
opened("(SCTP, 50051", "another protocol", lambda it: ports(it, "auth-service-public")[0].update(protocol="SCTP"))
opened("(UDP, 50052", "a protocol more",
       lambda it: ports(it, "auth-service-internal").append({"port": 50052, "protocol": "UDP"}))
opened("50051, 65535", "a range of ports", lambda it: ports(it, "auth-service-public")[0].update(endPort=65535))
opened("opens (everybody", "everybody", lambda it: policy(it, "auth-service-internal")["ingress"][0].pop("from"))
opened("opens (everybody", "a rule more", lambda it: policy(it, "auth-service-public")["ingress"].append({}))
opened("auth-service-internal: opens", "every namespace",
       lambda it: peers(it, "auth-service-internal").append({"namespaceSelector": {}}))
opened("auth-service-internal: opens", "others than are said", lambda it: peers(it, "auth-service-internal").append(CLIENTS))
# Both selectors ask for the same label.
opened("auth-service-internal: opens", "every pod of the namespaces",
       lambda it: peers(it, "auth-service-internal")[1].pop("podSelector"))
opened("auth-service-internal: opens", "pods of its own namespace",
       lambda it: peers(it, "auth-service-internal")[1].pop("namespaceSelector"))
opened("0.0.0.0/0", "the whole world", lambda it: peers(it, "auth-service-public").append(WORLD))
opened("0.0.0.0/0", "any database", lambda it: peers(it, "services-to-postgres", "egress").append(WORLD))
opened("203.0.113.9/32", "a second address",
       lambda it: peers(it, "services-to-postgres", "egress").append({"ipBlock": {"cidr": "203.0.113.9/32"}}))
opened("services-to-postgres: opens", "the address twice",
       lambda it: peers(it, "services-to-postgres", "egress").append({"ipBlock": {"cidr": "10.20.0.5/32"}}))
opened("203.0.113.9/32", "another address",
       lambda it: peers(it, "services-to-postgres", "egress")[0]["ipBlock"].update(cidr="203.0.113.9/32"))
opened("names: is about {}", "names for everybody", lambda it: policy(it, "names").update(podSelector={}))
opened("names: is about", "names for the trial's PostgreSQL", lambda it: policy(it, "names").update(
    podSelector={"matchLabels": {"app.kubernetes.io/part-of": "tandem"}}), "trial")
opened("services-to-postgres: is about {}", "PostgreSQL for everybody",
       lambda it: policy(it, "services-to-postgres").update(podSelector={}))
opened("is about ['Ingress', 'Egress']", "the other direction",
       lambda it: policy(it, "names").update(policyTypes=["Ingress", "Egress"]))


@case("only_who_migrates_is_the_owner", "production", "the owner's password", "the password of the schema's owner")
def _(it: Manifests) -> None:
    template(it, "auth-service")["volumes"].append({"name": "owner", "secret": {"secretName": "auth-service-owner"}})


@case("only_who_migrates_is_the_owner", "production", "the pepper for a migration", "needs auth-service-owner alone")
def _(it: Manifests) -> None:
    job = template(it, "auth-service-migrate", "Job")
    job["volumes"].append({"name": "secrets", "secret": {"secretName": "auth-service"}})


@case("services_stay_inside", "production", "a way in from outside", "is reached from outside of the cluster")
def _(it: Manifests) -> None:
    get(it, "Service", "auth-service-internal")["spec"]["type"] = "LoadBalancer"


@case("policies_open_ports_that_exist", "production", "another port", "which Deployment auth-service does not have")
def _(it: Manifests) -> None:
    policy(it, "auth-service-operations")["ingress"][0]["ports"][0]["port"] = 9053


@case("policies_open_ports_that_exist", "production", "a way to nobody", "leads to no pod")
def _(it: Manifests) -> None:
    policy(it, "users-service-to-auth-service")["egress"][0]["to"][0]["podSelector"]["matchLabels"] = {"app": "auth"}


@case("ways_are_open_at_both_ends", "production", "not at the one end", "who may not be called")
def _(it: Manifests) -> None:
    del policy(it, "auth-service-internal")["ingress"][0]["from"][0]


@case("ways_are_open_at_both_ends", "trial", "not at the other", "may not call StatefulSet postgres")
def _(it: Manifests) -> None:
    remove(it, "NetworkPolicy", "services-to-postgres")


@case("ways_are_open_at_both_ends", "trial", "at neither", "cannot call Deployment auth-service at 50052")
def _(it: Manifests) -> None:
    remove(it, "NetworkPolicy", "users-service-to-auth-service")
    remove(it, "NetworkPolicy", "auth-service-internal")
