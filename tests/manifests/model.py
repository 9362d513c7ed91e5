"""What kustomize rendered, as checks look at it: documents, pods, and which pods a selector means."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
NAME = "app.kubernetes.io/name"
# A selector as its terms: key, operator, values. Two that are equal select the same.
Selector = frozenset[tuple[str, str, tuple[str, ...]]]
# The other side of a network policy: the selectors of namespace (none: its own) and pod, or a block of addresses.
Peer = tuple[Any, ...]
# Protocol, port, and the last one of a range.
Port = tuple[str, Any, Any]


@dataclass
class Pod:
    """The template of a Deployment, StatefulSet or Job: every pod is made from one."""

    owner: Document
    labels: dict[str, str]
    spec: Document

    @property
    def name(self) -> str:
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"

    @property
    def namespace(self) -> str:
        return self.owner["metadata"].get("namespace", "default")

    @property
    def containers(self) -> list[Document]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def service(self) -> str | None:
        """Which of our two it runs, if any."""
        image = self.spec["containers"][0]["image"]
        name = image.rsplit("/", 1)[-1].split("@")[0].split(":")[0]
        return name if name in ("auth-service", "users-service") else None

    @property
    def serves(self) -> bool:
        return self.service is not None and self.owner["kind"] == "Deployment"


@dataclass
class Manifests:
    """All documents of one rendered target."""

    target: str
    documents: list[Document] = field(default_factory=list)

    @classmethod
    def load(cls, file: Path) -> Manifests:
        documents = [document for document in yaml.safe_load_all(file.read_text()) if document]
        if not documents:
            raise SystemExit(f"{file} has no documents")
        return cls(file.stem, documents)

    @property
    def overlay(self) -> str:
        """Which of the two it is, or is made of."""
        return "trial" if self.get("StatefulSet", "postgres") else "production"

    def copy(self) -> Manifests:
        return copy.deepcopy(self)

    def of(self, *kinds: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def get(self, kind: str, name: str) -> Document | None:
        return next((document for document in self.of(kind) if document["metadata"]["name"] == name), None)

    def pods(self) -> list[Pod]:
        return [
            Pod(owner, owner["spec"]["template"]["metadata"].get("labels", {}), owner["spec"]["template"]["spec"])
            for owner in self.of("Deployment", "StatefulSet", "DaemonSet", "Job")
        ]

    def ours(self) -> list[Pod]:
        return [pod for pod in self.pods() if pod.service]

    def selected(self, selector: Document | None) -> list[Pod]:
        return [pod for pod in self.pods() if matches(selector, pod.labels)]


def matches(selector: Document | None, labels: dict[str, str]) -> bool:
    """As the API server decides: an empty selector means everything, none means nothing."""
    if selector is None:
        return False
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        key, operator, values = term["key"], term["operator"], term.get("values", [])
        there = key in labels
        fits = {
            "In": there and labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": there,
            "DoesNotExist": not there,
        }[operator]
        if not fits:
            return False
    return True


def terms(selector: Document) -> Selector:
    labels = {(key, "In", (value,)) for key, value in selector.get("matchLabels", {}).items()}
    expressions = {
        (term["key"], term["operator"], tuple(sorted(term.get("values", []))))
        for term in selector.get("matchExpressions", [])
    }
    return frozenset(labels | expressions)


def peer(document: Document) -> Peer:
    """All that it says, in a form that is equal when the meaning is."""
    if "ipBlock" in document:
        block = document["ipBlock"]
        return ("ipBlock", block["cidr"], tuple(block.get("except", [])))
    namespaces = document.get("namespaceSelector")
    return (None if namespaces is None else terms(namespaces), terms(document.get("podSelector", {})))


def port(document: Document) -> Port:
    return (document.get("protocol", "TCP"), document.get("port"), document.get("endPort"))


def quantity(text: str | int | float) -> float:
    """A quantity of Kubernetes as a number: cores, or bytes."""
    text = str(text)
    for suffix, factor in {
        "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9,
    }.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def seconds(text: str) -> float:
    """A duration of our settings as seconds."""
    for suffix, factor in {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}.items():
        number = text.removesuffix(suffix)
        if number != text and number.replace(".", "", 1).isdigit():
            return float(number) * factor
    raise ValueError(f"{text!r} is no duration")


def strings(value: Any) -> Iterator[str]:
    """Every string in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
