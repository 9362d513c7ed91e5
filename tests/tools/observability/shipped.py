"""The files of deploy/observability and docs/alerts.md, and how those that are derived or formatted are written."""

import copy
import functools
import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
OBSERVABILITY = Path("deploy/observability")
ALERTS = Path("docs/alerts.md")
RULES = OBSERVABILITY / "prometheus/rules.yaml"
RULE_TESTS = OBSERVABILITY / "prometheus/rules.test.yaml"
PROMETHEUS = OBSERVABILITY / "prometheus/prometheus.yml"
RULE_RESOURCE = OBSERVABILITY / "kubernetes/prometheusrule.yaml"
COMPONENT = OBSERVABILITY / "kustomization.yaml"
DASHBOARDS = OBSERVABILITY / "grafana/dashboards"
PROVISIONING = OBSERVABILITY / "grafana/provisioning"

RULE_RESOURCE_HEADER = """\
# The rules of prometheus/rules.yaml for the Prometheus operator. `tests/observability write` makes it of them.
#
# An operator that looks only for rules with a certain label needs that label here: a patch of the overlay adds it.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tandem
  labels:
    app.kubernetes.io/name: tandem
    app.kubernetes.io/part-of: tandem
spec:
"""


class Shipped:
    """What is in a tree: the clone's, or that of a broken copy."""

    def __init__(self, root):
        self.root = Path(root)
        self.dashboards = {
            path.stem: json.loads(path.read_text()) for path in sorted((self.root / DASHBOARDS).glob("*.json"))
        }
        self.groups = self.yaml(RULES)["groups"]
        self.rules = [rule for group in self.groups for rule in group["rules"]]
        self.alerts = [rule for rule in self.rules if "alert" in rule]
        self.recorded = [rule for rule in self.rules if "record" in rule]

    def text(self, path):
        return (self.root / path).read_text()

    def yaml(self, path):
        return copy.deepcopy(parsed(self.text(path)))

    def panels(self):
        """Each panel that shows something, with a name to call it by."""
        for uid, dashboard in self.dashboards.items():
            for panel in dashboard["panels"]:
                if panel["type"] != "row":
                    yield f"{uid}, {panel.get('title') or 'panel ' + str(panel.get('id'))}", panel

    def variables(self):
        """Each variable that asks Prometheus, with a name to call it by."""
        for uid, dashboard in self.dashboards.items():
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    yield f"{uid}, variable {variable['name']}", variable


@functools.cache
def parsed(text):
    """Most of the copies have most of the files in common."""
    return yaml.load(text, yaml.CSafeLoader)


def rule_resource(rules):
    """The same rules, comments included, as a resource of the Prometheus operator."""
    groups = rules[re.search(r"^groups:", rules, re.M).start() :]
    return RULE_RESOURCE_HEADER + re.sub(r"^(?=.)", "  ", groups, flags=re.M)


def formatted(value, indent=0, before=0):
    """JSON that people can read and compare: whatever fits into a line is in one."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + before + len(line) <= 120 or not isinstance(value, (dict, list)) or not value:
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        names = [f"{json.dumps(key)}: " for key in value]
        items = [name + formatted(item, indent + 2, len(name)) for name, item in zip(names, value.values())]
    else:
        items = [formatted(item, indent + 2) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(inner + item for item in items) + "\n" + " " * indent + closing


def write(root):
    """Makes what is derived, and formats the dashboards."""
    root = Path(root)
    (root / RULE_RESOURCE).write_text(rule_resource((root / RULES).read_text()))
    for path in (root / DASHBOARDS).glob("*.json"):
        path.write_text(formatted(json.loads(path.read_text())) + "\n")
