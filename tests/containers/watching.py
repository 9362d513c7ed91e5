"""A step of the stack's test: what of the profile `observability` can be started anywhere, which is Prometheus."""

import json
import time
import urllib.parse
import urllib.request

from rotation import load_on

# Names are looked up every 15 s, and targets asked every 15 s.
SECONDS_TO_FIND = 90


def prometheus_finds_every_process_and_its_rules(stack):
    stack.profiles.append("observability")
    stack.up("--no-deps", "prometheus")
    try:
        with load_on(stack) as load:
            wanted = sorted([("auth-service", "up")] * 2 + [("users-service", "up")] * 2)
            until = time.monotonic() + SECONDS_TO_FIND
            while (found := targets(stack)) != wanted:
                assert time.monotonic() < until, f"after {SECONDS_TO_FIND} s: {found}"
                time.sleep(0.5)
            calls = asked(stack, "query", query="sum by (job) (grpc_server_handled_total)")["result"]
        assert not load.failures, load.what_failed()
        assert {one["metric"]["job"] for one in calls} == {"auth-service", "users-service"}, calls
        rules = [rule for group in asked(stack, "rules")["groups"] for rule in group["rules"]]
        assert rules, "it has no rules"
        assert all(rule["health"] != "err" for rule in rules), [rule for rule in rules if rule["health"] == "err"]
        assert stack.health("prometheus") == "healthy"
    finally:
        stack.compose("rm", "--stop", "--force", "prometheus")
        stack.profiles.remove("observability")
    return f"{len(found)} targets, {len(rules)} rules"


def targets(stack):
    return sorted((one["labels"]["job"], one["health"]) for one in asked(stack, "targets")["activeTargets"])


def asked(stack, what, **parameters):
    url = f"http://{stack.prometheus}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)["data"]
