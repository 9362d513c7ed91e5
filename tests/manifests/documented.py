"""What docs/kubernetes.md and others say, as far as the manifests have to agree with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model import NAME, Manifests, Peer, Port, peer


# Who is who in the table of flows, where it is not said by labels.
WORDS = {
    "users-service, and its Jobs": ["users-service"],
    "both services and their Jobs": ["auth-service", "users-service"],
}


@dataclass(frozen=True)
class Flow:
    """A row of the table of flows."""

    who: Peer
    whom: Peer
    ports: frozenset[Port]
    policies: tuple[str, ...]
    # The overlay that it is about, if not both.
    only: str | None

    def is_in(self, manifests: Manifests) -> bool:
        return self.only in (None, manifests.overlay)


@dataclass
class Documented:
    flows: list[Flow]
    # Addresses that the page names, each of one host.
    addresses: set[str]
    # Overlay or none -> (Service, port), and whether it is headless.
    services: dict[tuple[str, int], tuple[str | None, bool]]
    # Service -> keys of its settings that may be given as a file, and are secrets therefore.
    secret_settings: dict[str, set[str]]
    # (Secret, key) of the table of Secrets.
    secrets: set[tuple[str, str]]
    # Overlay -> connections to PostgreSQL at most.
    connections: dict[str, int]
    # The version that images are tagged with.
    version: str
    # Full names of the services in proto/.
    rpc_services: set[str]

    @classmethod
    def read(cls, root: Path) -> Documented:
        page = (root / "docs/kubernetes.md").read_text()
        manifest = (root / "Cargo.toml").read_text()
        return cls(
            flows=flows(table(page, "Who reaches whom")),
            addresses=set(re.findall(r"\b\d+\.\d+\.\d+\.\d+/32\b", page)),
            services={
                (name, int(port)): (only(row[0]), "headless" in " ".join(row))
                for row in table(page, "Who calls what")
                for name, port in (place.split(":") for place in code(row[0]))
            },
            secret_settings={
                service: secret_settings((root / f"deploy/{service}.toml").read_text())
                for service in ("auth-service", "users-service")
            },
            secrets={
                (code(secret)[0], key)
                for secret, keys, *_ in table(page, "Secrets")
                for key in code(keys)
            },
            connections={
                code(row[0])[0]: int(row[-1].strip("* ")) for row in table(page, "Connections to PostgreSQL")
            },
            version=re.search(r'^version = "(.*)"$', manifest, re.MULTILINE)[1],
            rpc_services={
                f"{package}.{service}"
                for file in root.glob("proto/**/*.proto")
                for package in re.findall(r"^package ([\w.]+);", file.read_text(), re.MULTILINE)
                for service in re.findall(r"^service (\w+) ", file.read_text(), re.MULTILINE)
            },
        )


def flows(rows: list[list[str]]) -> list[Flow]:
    found: list[Flow] = []
    for who, whom, ports, policies in rows:
        protocols = re.findall(r"UDP|TCP|SCTP", ports) or ["TCP"]
        found.append(
            Flow(
                who=found[-1].who if who == "the same" else side(who),
                whom=side(whom),
                ports=frozenset((protocol, int(port), None) for protocol in protocols for port in re.findall(r"\d+", ports)),
                policies=tuple(code(policies)),
                only=only(whom),
            )
        )
    return found


def side(cell: str) -> Peer:
    """Who is meant, as a network policy says it; what cannot be said so is an error."""
    text = re.sub(r" \((trial|production)\)$", "", cell)
    if text == "PostgreSQL, by its one address":
        return ("address",)
    if text in WORDS:
        values = WORDS[text]
        return peer({"podSelector": {"matchExpressions": [{"key": NAME, "operator": "In", "values": values}]}})
    if served := re.fullmatch(r"(\S+), (public|internal|operations)", text):
        return peer({"podSelector": {"matchLabels": {NAME: served[1], "app.kubernetes.io/component": "server"}}})
    said = re.fullmatch(r"(?:\w+: )?pods(?: labelled `(\S+)`)?(?: in namespaces labelled `(\S+)`| in `(\S+)`)?", text)
    if not said:
        raise SystemExit(f"docs/kubernetes.md: nobody knows who {cell!r} is")
    pods, namespaces, namespace = said.groups()
    found: dict[str, Any] = {}
    if pods:
        found["podSelector"] = {"matchLabels": dict([pods.split("=")])}
    if namespaces := namespaces or namespace and f"kubernetes.io/metadata.name={namespace}":
        found["namespaceSelector"] = {"matchLabels": dict([namespaces.split("=")])}
    return peer(found)


def only(cell: str) -> str | None:
    said = re.search(r"\((trial|production)\)$", cell)
    return said[1] if said else None


def secret_settings(example: str) -> set[str]:
    """Keys of the file of settings, commented out or not, that have one beside them with `_file` behind the name."""
    keys, section = set(), ""
    for line in example.splitlines():
        if heading := re.match(r"\[+([\w.]+)\]", line):
            section = heading[1]
        elif key := re.match(r"(?:# )?(\w+) = ", line):
            keys.add(f"{section}.{key[1]}")
    found = {key for key in keys if f"{key}_file" in keys}
    if not found:
        raise SystemExit("the examples of settings show no secrets")
    return found


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading; a heading or a table that is not there is an error."""
    section = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    if not section:
        raise SystemExit(f"docs/kubernetes.md has no section {heading!r}")
    lines = [line for line in section[1].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]
    if not rows:
        raise SystemExit(f"docs/kubernetes.md has no table below {heading!r}")
    return rows


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
