"""Every document against the schema of its kind: Kubernetes' own, strictly, in the three newest minor versions; custom
resources by types and validators that are generated from their definitions. A kind that neither knows is an error.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
from kubernetes_validate import utils

from model import Document, Manifests

PACKAGES = {
    "cert-manager.io": "cert-manager",
    "gateway.networking.k8s.io": "gateway-api",
    "monitoring.coreos.com": "prometheus-operator",
}

# They are read anew for each document otherwise, which takes most of the time.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)


def newest() -> list[str]:
    minors = {utils.major_minor(version) for version in utils.all_versions()}
    return sorted(minors, key=lambda version: int(version.split(".")[1]))[-3:]


def title(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def is_custom(document: Document) -> bool:
    return document["apiVersion"].split("/")[0] in PACKAGES


def unique(targets: list[Manifests]) -> Iterator[tuple[str, Document]]:
    """Each document once, with the target it was met in first."""
    met = set()
    for manifests in targets:
        for document in manifests.documents:
            digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
            if digest not in met:
                met.add(digest)
                yield manifests.target, document


def builtin_flaws(document: Document) -> Iterator[str]:
    for version in newest():
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = "/".join(str(step) for step in error.absolute_path)
            yield f"{title(document)}, Kubernetes {version}: {place}: {error.message[:300]}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{title(document)}: {error.message}"


class CustomResources:
    """TypeScript's compiler finds fields that do not exist and types that do not fit, the validators everything else."""

    def __init__(self, node_modules: Path, work: Path) -> None:
        self.work = work / "custom-resources"
        self.work.mkdir()
        (self.work / "node_modules").symlink_to(node_modules)
        (self.work / "package.json").write_text('{"type": "module"}')

    def flaws(self, documents: dict[str, Document]) -> dict[str, list[str]]:
        """By the name that each was given: what is wrong with it."""
        validations = []
        for name, document in documents.items():
            group = document["apiVersion"].split("/")[0]
            module, kind = f"@kubernetes-models/{PACKAGES[group]}/{document['apiVersion']}", document["kind"]
            literal = json.dumps(document)
            (self.work / f"{name}.ts").write_text(
                f'import type {{ I{kind} }} from "{module}";\nexport const it: I{kind} = {literal};\n'
            )
            validations.append(
                f'try {{ const {{ {kind} }} = await import("{module}"); new {kind}({literal}).validate(); }} '
                f"catch (error) {{ console.log(JSON.stringify([{json.dumps(name)}, error.message])); }}\n"
            )
        (self.work / "validate.mjs").write_text("".join(validations))
        return self.compiled(documents, self.validated({name: [] for name in documents}))

    def compiled(self, documents: dict[str, Document], found: dict[str, list[str]]) -> dict[str, list[str]]:
        files = [f"{name}.ts" for name in documents]
        done = subprocess.run(
            ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext",
             "--target", "es2022", "--pretty", "false", *files],
            cwd=self.work, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        said = re.findall(r"^([\w-]+)\.ts\(.*?\): error (.*)$", done.stdout, re.MULTILINE)
        if bool(done.returncode) != bool(said):
            raise SystemExit(f"the compiler says:\n{done.stdout}{done.stderr}")
        for name, why in said:
            found[name].append(why)
        return found

    def validated(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        done = subprocess.run(["node", "validate.mjs"], cwd=self.work, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the validators say:\n{done.stdout}{done.stderr}")
        for line in done.stdout.splitlines():
            name, why = json.loads(line)
            found[name].append(why)
        return found


def run(targets: list[Manifests], node_modules: Path, work: Path) -> tuple[int, list[str]]:
    """How many documents there were, and what is wrong."""
    flaws: list[str] = []
    custom: dict[str, Document] = {}
    count = 0
    for target, document in unique(targets):
        count += 1
        if is_custom(document):
            custom[f"{target}-{count}"] = document
        else:
            flaws += [f"{target}: {flaw}" for flaw in builtin_flaws(document)]
    broken = dict(broken_copies(custom))
    found = CustomResources(node_modules, work).flaws({**custom, **broken})
    flaws += [f"{title(custom[name])}: {why}" for name in custom for why in found[name]]
    flaws += [f"a broken copy was let pass: {json.dumps(broken[name])}" for name in broken if not found[name]]
    flaws += list(broken_builtins(targets))
    return count, flaws


def broken_copies(custom: dict[str, Document]) -> Iterator[tuple[str, Document]]:
    """Of each kind one with a field that does not exist, one with a value of the wrong type, one of no known version."""
    kinds = {document["kind"]: document for document in custom.values()}
    for kind, document in kinds.items():
        unknown = copy.deepcopy(document)
        unknown["spec"]["nothing"] = "of the kind"
        yield f"unknown-{kind}", unknown
        wrong = copy.deepcopy(document)
        wrong["spec"][next(iter(wrong["spec"]))] = 3
        yield f"wrong-{kind}", wrong
        yield f"version-{kind}", {**document, "apiVersion": document["apiVersion"].split("/")[0] + "/v9"}


def broken_builtins(targets: list[Manifests]) -> Iterator[str]:
    """The same for the kinds of Kubernetes."""
    kinds = {document["kind"]: document for _, document in unique(targets) if not is_custom(document)}
    for document in kinds.values():
        unknown = copy.deepcopy(document)
        unknown["nothing"] = "of the kind"
        wrong = copy.deepcopy(document)
        wrong["metadata"]["labels"] = 3
        absent = {**document, "kind": f"{document['kind']}s"}
        for broken in (unknown, wrong, absent):
            if not list(builtin_flaws(broken)):
                yield f"a broken copy was let pass: {json.dumps(broken)}"
