"""What docs/kubernetes.md and others say, as far as the manifests have to agree with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Documented:
    # Policy -> ports of the table of flows.
    flows: dict[str, set[int]]
    # Policy -> the labels and names by which that table says who is on the other side.
    callers: dict[str, set[str]]
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
            callers=callers(table(page, "Who reaches whom")),
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


def flows(rows: list[list[str]]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for *_, ports, policies in rows:
        for policy in code(policies):
            found.setdefault(policy, set()).update(int(port) for port in re.findall(r"\d+", ports))
    return found


def callers(rows: list[list[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    before: set[str] = set()
    for who, whom, _, policies in rows:
        before = before if who == "the same" else {*code(who), *code(whom)}
        for policy in code(policies):
            found.setdefault(policy, set()).update(before)
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
