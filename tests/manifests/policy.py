"""The policy checker, and what it finds that is meant to be so: policy-skips.toml, each with its reason."""

from __future__ import annotations

import fnmatch
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

# A pod that everything is wrong with: when nothing is found in it, nothing was looked for.
BROKEN = """
apiVersion: v1
kind: Pod
metadata:
  name: broken
spec:
  hostNetwork: true
  containers:
    - name: broken
      image: broken:latest
      securityContext:
        privileged: true
"""
MUST_BE_FOUND = {"CKV_K8S_14", "CKV_K8S_16", "CKV_K8S_19", "CKV_K8S_22", "CKV_K8S_31", "CKV_K8S_37"}


def run(rendered: list[Path], skips: Path, work: Path) -> tuple[int, list[str]]:
    """How many checks were passed, and what is wrong."""
    folder = work / "policy"
    folder.mkdir()
    for file in rendered:
        shutil.copy(file, folder)
    (folder / "broken.yaml").write_text(BROKEN)
    done = subprocess.run(
        ["checkov", "--framework", "kubernetes", "--directory", ".", "--output", "json", "--quiet", "--compact",
         "--skip-download", "--soft-fail"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"checkov ended with {done.returncode}:\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    if report["summary"]["parsing_errors"]:
        raise SystemExit(f"checkov could not read {report['results'].get('parsing_errors')}")
    findings = {
        (Path(found["file_path"]).stem, found["check_id"], found["resource"], found["check_name"])
        for found in report["results"]["failed_checks"]
    }
    in_broken = {check for target, check, *_ in findings if target == "broken"}
    flaws = [f"{check} was not found in what is broken" for check in sorted(MUST_BE_FOUND - in_broken)]
    rest = {finding for finding in findings if finding[0] != "broken"}
    flaws += judged(rest, tomllib.loads(skips.read_text())["skip"])
    # A skip that nothing needs is found as well.
    unused = {"check": "CKV_K8S_0", "resource": "*", "reason": "to see it found"}
    if not any("CKV_K8S_0" in flaw for flaw in judged(rest, [unused])):
        flaws.append("a skip that nothing needs was let pass")
    return report["summary"]["passed"], flaws


def judged(findings: set[tuple[str, str, str, str]], skips: list[dict[str, str]]) -> list[str]:
    used = set()
    flaws = []
    for target, check, resource, name in sorted(findings):
        # Kind.namespace.name: the namespace is the overlay's.
        kind, _, short = resource.split(".", 2)
        fitting = [
            number for number, skip in enumerate(skips)
            if skip["check"] == check and fnmatch.fnmatch(f"{kind}/{short}", skip["resource"])
        ]
        used.update(fitting)
        if not fitting:
            flaws.append(f"{target}: {check} {kind}/{short}: {name}")
    for number, skip in enumerate(skips):
        if number not in used:
            flaws.append(f"policy-skips.toml: nothing needs the skip of {skip['check']} for {skip['resource']}")
        if len(skip.get("reason", "")) < 20:
            flaws.append(f"policy-skips.toml: the skip of {skip['check']} has no reason")
    return flaws
