"""The order in which Argo CD applies what was rendered: by waves, each when the one before is healthy."""

from __future__ import annotations

from collections.abc import Iterator

from checks import Context, check
from model import Document, Manifests

HOOK = "argocd.argoproj.io/hook"
HOOKS = {HOOK: "Sync", f"{HOOK}-delete-policy": "BeforeHookCreation"}


def annotations(document: Document) -> dict[str, str]:
    return document["metadata"].get("annotations", {})


def wave(document: Document) -> int:
    return int(annotations(document).get("argocd.argoproj.io/sync-wave", "0"))


def name(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


@check
def waves_are_in_order(manifests: Manifests, context: Context) -> Iterator[str]:
    jobs = [pod.owner for pod in manifests.ours() if pod.owner["kind"] == "Job"]
    served = {pod.service: pod.owner for pod in manifests.ours() if pod.serves}
    for job in jobs:
        if HOOKS.items() - annotations(job).items():
            yield f"{name(job)}: is not made anew at each sync, and a Job cannot be changed"
        for deployment in served.values():
            if wave(job) >= wave(deployment):
                yield f"{name(deployment)}: does not wait for {name(job)}"
    if wave(served["auth-service"]) >= wave(served["users-service"]):
        yield f"{name(served['users-service'])}: does not wait for auth-service, which it may need the new calls of"
    first = min(map(wave, [*jobs, *served.values()]))
    for document in manifests.documents:
        if document["kind"] == "HorizontalPodAutoscaler":
            target = document["spec"]["scaleTargetRef"]
            scaled = manifests.get(target["kind"], target["name"])
            if scaled and wave(document) <= wave(scaled):
                yield f"{name(document)}: is not healthy before there is what it scales, and the sync ends there"
        elif document not in (*jobs, *served.values()) and wave(document) > first:
            yield f"{name(document)}: comes after pods that need it"
