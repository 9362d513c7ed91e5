"""Names and labels that an API server accepts, which the schemas say nothing about."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checks import Context, check
from model import Document, Manifests

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@check
def names_are_accepted(manifests: Manifests, context: Context) -> Iterator[str]:
    met = set()
    for document in manifests.documents:
        kind, name = document["kind"], document["metadata"]["name"]
        if (kind, name) in met:
            yield f"{kind} {name}: is there twice"
        met.add((kind, name))
        fitting = LABEL if kind in ("Service", "Namespace") else SUBDOMAIN
        if not fitting.fullmatch(name):
            yield f"{kind} {name}: is no name"
        for labels in label_maps(document):
            for key, value in labels.items():
                prefix, _, rest = key.rpartition("/")
                if prefix and not SUBDOMAIN.fullmatch(prefix) or not NAME.fullmatch(rest):
                    yield f"{kind} {name}: {key!r} is no key of a label"
                if not isinstance(value, str) or value and not NAME.fullmatch(value):
                    yield f"{kind} {name}: {value!r} is no value of the label {key}"
    for pod in manifests.pods():
        for container in pod.containers:
            for port in container.get("ports", []):
                if len(port["name"]) > 15 or not LABEL.fullmatch(port["name"]):
                    yield f"{pod.name}: {port['name']!r} is no name of a port"


def label_maps(value: object) -> Iterator[Document]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("labels", "matchLabels") and isinstance(inner, dict):
                yield inner
            yield from label_maps(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from label_maps(inner)
