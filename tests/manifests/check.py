"""Checks what was rendered, and each check by manifests that are broken: see --help."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import broken
import broken_network  # noqa: F401  Registers its cases.
import broken_secrets  # noqa: F401
import network  # noqa: F401  Registers its checks.
import names  # noqa: F401
import order  # noqa: F401
import policy
import restricted  # noqa: F401
import routes  # noqa: F401
import schemas
import written_out  # noqa: F401
from checks import CHECKS, Context
from documented import Documented
from model import Manifests
from settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OVERLAYS = ("trial", "production")
# Everything that is started in it ends with it.
UNSHARE = ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Outcome:
    def __init__(self) -> None:
        self.passed = self.failed = 0

    def say(self, what: str, flaws: list[str]) -> None:
        if flaws:
            self.failed += 1
            print(f"FAILED {what}")
            for flaw in flaws:
                print(f"    {flaw}")
        else:
            self.passed += 1
            print(f"ok     {what}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--node-modules", type=Path, required=True)
    arguments = parser.parse_args()
    targets = [Manifests.load(file) for file in sorted(arguments.rendered.glob("*.yaml"))]
    # What somebody applies; the others are parts of it, and are checked for their form only.
    whole = [manifests for manifests in targets if not manifests.target.startswith(("part-", "base"))]
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="checks.") as folder, ThreadPoolExecutor() as side:
        work = Path(folder)
        # PostgreSQL, which does not run as root, has to get through.
        work.chmod(0o711)
        files = [arguments.rendered / f"{manifests.target}.yaml" for manifests in whole]
        policed = side.submit(policy.run, files, HERE / "policy-skips.toml", work)
        count, flaws = schemas.run(targets, arguments.node_modules.resolve(), work)
        versions = ", ".join(schemas.newest())
        outcome.say(f"{count} documents of {len(targets)} targets fit the schemas of Kubernetes {versions}", flaws)

        settings = Settings(arguments.binaries, ROOT / "deploy/kubernetes/secrets", work)
        context = Context(Documented.read(ROOT), settings)
        for manifests in whole:
            for name, check in CHECKS.items():
                outcome.say(f"{manifests.target}: {name.replace('_', ' ')}", list(check(manifests, context)))
        outcome.say("what is documented is there", unused(context.documented, whole))

        by_name = {manifests.target: manifests for manifests in whole}
        for case in broken.CASES:
            outcome.say(f"found when broken: {case.check.replace('_', ' ')}: {case.name}", case.run(by_name, context))
        seen = {case.check for case in broken.CASES}
        outcome.say("every check was seen to fail", [f"{name} was not" for name in CHECKS if name not in seen])

        passed, flaws = policed.result()
        outcome.say(f"{passed} checks of policy passed, the rest has reasons", flaws)
        # Not before all else is done: the services are given no more than 2 s by each other, and by their database.
        tried = {
            overlay: side.submit(pods, arguments.rendered / f"{overlay}.yaml", work / overlay, arguments.binaries)
            for overlay in OVERLAYS
        }
        for overlay, lines in tried.items():
            for what, said in lines.result():
                outcome.say(f"{overlay}, run here: {what}", said)
    if not may_unshare():
        print("not run: what the overlays describe, on this machine: that needs root, and namespaces of its own")
    print(f"\n{outcome.passed} passed, {outcome.failed} failed")
    return 1 if outcome.failed else 0


def may_unshare() -> bool:
    return os.geteuid() == 0 and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


def pods(rendered: Path, folder: Path, binaries: Path) -> list[tuple[str, list[str]]]:
    """What pods.py tried, and what was wrong with it."""
    if not may_unshare():
        return []
    folder.mkdir()
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(HERE / "pods.py"), str(rendered), str(folder), str(binaries)],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    said: list[tuple[str, list[str]]] = []
    for line in done.stdout.splitlines():
        if line.startswith("ok     "):
            said.append((line[7:], []))
        elif line.startswith("FAILED "):
            said.append((line[7:], ["it does not"]))
        elif said:
            said[-1][1].append(line.strip())
    if done.returncode or not said:
        said.append(("it can be run", [f"pods.py ended with {done.returncode}: {done.stderr[-3000:]}"]))
    return said


def unused(documented: Documented, whole: list[Manifests]) -> list[str]:
    """Rows of the tables that nothing in any target is about."""
    policies = {policy["metadata"]["name"] for manifests in whole for policy in manifests.of("NetworkPolicy")}
    mounted = {
        volume["secret"]["secretName"]
        for manifests in whole
        for pod in manifests.pods()
        for volume in pod.spec["volumes"]
        if "secret" in volume
    }
    targets = {manifests.target for manifests in whole}
    return [
        *(f"there is no network policy {name}" for flow in documented.flows for name in {*flow.policies} - policies),
        *(f"nothing mounts the Secret {name}" for name in {name for name, _ in documented.secrets} - mounted),
        *(f"there is no overlay {name}" for name in documented.connections.keys() - targets),
        *(f"the connections of {name} are not said" for name in {*OVERLAYS} - documented.connections.keys()),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
