"""Broken copies of the files, and what the check that each is for has to say: a check that cannot fail is none."""

import json
import re
import shutil

import shipped
from shipped import ALERTS, COMPONENT, DASHBOARDS, PROMETHEUS, PROVISIONING, RULE_RESOURCE, RULE_TESTS, RULES


def copy(root, folder):
    """What is checked, as it is."""
    for name in ("deploy", "docs"):
        shutil.copytree(f"{root}/{name}", f"{folder}/{name}")


def text(path, old, new):
    """Puts something else in the place of what a file has once at least."""

    def damage(root):
        before = (root / path).read_text()
        after = re.sub(old, lambda _: new, before, count=1, flags=re.S | re.M)
        if after == before:
            raise ValueError(f"{path} has nothing like {old}")
        (root / path).write_text(after)

    return damage


def dashboard(uid, change):
    """Changes a dashboard, which stays formatted."""

    def damage(root):
        path = root / DASHBOARDS / f"{uid}.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(shipped.formatted(content) + "\n")

    return damage


def panel(uid, change, number=1):
    """Changes a panel: of the first row the first, unless another is named."""
    return dashboard(uid, lambda content: change(content["panels"][number]))


def query(old, new, uid="tandem-auth", number=1):
    """Changes the first query of a panel."""

    def change(content):
        target = content["targets"][0]
        if old not in target["expr"]:
            raise ValueError(f"{target['expr']} has no {old}")
        target["expr"] = target["expr"].replace(old, new)

    return panel(uid, change, number)


def variable(name, change, uid="tandem-calls"):
    return dashboard(uid, lambda content: change(next(v for v in content["templating"]["list"] if v["name"] == name)))


def section(name):
    """What docs/alerts.md says of an alert."""
    return rf"^### {name}\n.*?(?=^##)"


def several(*damages):
    def damage(root):
        for one in damages:
            one(root)

    return damage


def failures(*alerts):
    """What promtool says of alerts that are not as their tests expect."""
    return [f"alertname: {name}," for name in alerts]


def only_tests(*beginnings):
    """Leaves out tests that have nothing to do with it: all of them take seconds."""

    def damage(root):
        before = (root / RULE_TESTS).read_text()
        head, *tests = re.split(r"^(?=  - name: )", before, flags=re.M)
        kept = [test for test in tests if test.startswith(tuple(f"  - name: {one}" for one in beginnings))]
        if len(kept) != len(beginnings):
            raise ValueError(f"{RULE_TESTS} has not all of {beginnings}")
        (root / RULE_TESTS).write_text(head + "".join(kept))

    return damage


def without_waiting(root):
    """No alert waits: of each there must be a test in which it has only just begun."""
    path = root / RULES
    path.write_text(re.sub(r"for: \d+\w", "for: 0m", path.read_text()))


# Every alert that waits.
WAIT = re.findall(r"alert: (\w+)\n(?:(?!.*alert:).*\n)*? +for: ", (shipped.ROOT / RULES).read_text())

COPIES = {
    "promtool_accepts_configuration_and_rules": [
        ("a query that does not parse", text(RULES, r"\) < 1$", ") < < 1"), "could not parse expression"),
        ("a setting that Prometheus does not know", text(PROMETHEUS, "type: A", "kind: A"), "field kind not found"),
    ],
    "the_alerts_pass_their_tests": [
        (
            "other thresholds, labels and texts",
            several(
                text(RULES, r"tandem_feed_lag_seconds\) > 60", "tandem_feed_lag_seconds) > 600"),
                text(RULES, r"tandem_feed_connected\) < 1", "tandem_feed_connected) > 1"),
                text(RULES, r"severity: critical", "severity: warning"),
                text(RULES, "summary: Calls of .{1,30} are slow", "summary: They are slow"),
                only_tests("one call of twenty", "two of a hundred", "the feed is followed"),
            ),
            failures("TandemFeedLags", "TandemFeedNotFollowed", "TandemErrorBudgetBurnsFast", "TandemCallsSlow"),
        ),
        ("alerts that do not wait", without_waiting, failures(*WAIT)),
        ("another label", text(RULES, r"severity: critical", "severity: warning"), "TandemErrorBudgetBurnsFast"),
    ],
    "every_alert_is_tested_to_fire_and_to_stay_quiet": [
        (
            "an alert of another name",
            text(RULES, "alert: TandemFeedLags", "alert: TandemFeedLate"),
            "no test in which TandemFeedLate fires",
        ),
        (
            "a test of an alert that is gone",
            text(RULES, "alert: TandemFeedLags", "alert: TandemFeedLate"),
            "a test of TandemFeedLags",
        ),
        (
            "an alert that is never seen to be quiet",
            text(RULE_TESTS, r"(      - alertname: TandemWorkloadRefused\n        eval_time: \d+m\n){2}", ""),
            "no test in which TandemWorkloadRefused stays quiet",
        ),
    ],
    "the_configuration_scrapes_the_jobs_that_the_rules_know": [
        (
            "a job of another name",
            text(PROMETHEUS, "job_name: auth-service", "job_name: auth"),
            "the jobs are auth, users-service",
        ),
        ("another port", text(PROMETHEUS, "port: 9053", "port: 50053"), "users-service is scraped at port"),
        ("no rules", text(PROMETHEUS, "  - rules.yaml\n", "  - other.yaml\n"), "rule_files"),
    ],
    "the_operators_rules_are_the_same": [
        (
            "a rule that is changed in one of two places",
            text(RULES, "for: 2m", "for: 3m"),
            "run tests/observability write",
        ),
        ("the same, the other way round", text(RULE_RESOURCE, "for: 2m", "for: 3m"), "run tests/observability write"),
    ],
    "the_component_has_every_rule_and_dashboard": [
        (
            "a dashboard that is left out",
            text(COMPONENT, r"  - name: tandem-dashboard-stores.*", ""),
            "it has the files",
        ),
        (
            "a ConfigMap that Grafana does not find",
            text(COMPONENT, "grafana_dashboard: .1.", "dashboard: yes"),
            "has no label",
        ),
        ("no rules", text(COMPONENT, r"resources:\n.*?\n", ""), "its resources"),
        (
            "names with a hash",
            text(COMPONENT, "disableNameSuffixHash: true", "disableNameSuffixHash: false"),
            "changes its name",
        ),
    ],
    "grafana_is_provisioned": [
        (
            "a source somewhere else",
            text(PROVISIONING / "datasources/tandem.yaml", ":9090", ":9091"),
            "the data sources are",
        ),
        (
            "no default",
            text(PROVISIONING / "datasources/tandem.yaml", "isDefault: true", "isDefault: false"),
            "not one",
        ),
        (
            "dashboards somewhere else",
            text(PROVISIONING / "dashboards/tandem.yaml", "/etc/grafana", "/grafana"),
            "looked for",
        ),
    ],
    "dashboards_are_formatted": [
        ("an export of Grafana's", lambda root: export(root / DASHBOARDS / "tandem-auth.json"), "tandem-auth: run"),
    ],
    "dashboards_fit_grafanas_model": [
        (
            "a key that is misspelt",
            panel("tandem-auth", lambda p: p.update(descripton="")),
            "descripton: Grafana knows no such key",
        ),
        (
            "an option of that panel that there is not",
            panel("tandem-auth", lambda p: p["options"].update(graphMod="area")),
            "graphMod: Grafana knows no such key",
        ),
        (
            "a value that there is not",
            panel("tandem-auth", lambda p: p["options"].update(graphMode="hills")),
            "'hills' is none of",
        ),
        (
            "a text in place of a number",
            panel("tandem-auth", lambda p: p["gridPos"].update(w="4")),
            "'4' is not of the type int",
        ),
        ("a number in place of a list", dashboard("tandem-auth", lambda d: d.update(tags="tandem")), "is no list"),
        ("no place", panel("tandem-auth", lambda p: p.update(gridPos=4)), "cannot be read"),
    ],
    "dashboards_and_panels_can_be_told_apart": [
        ("two panels of one id", panel("tandem-auth", lambda p: p.update(id=3)), "several panels have the id 3"),
        ("a panel without an id", panel("tandem-auth", lambda p: p.pop("id")), "a panel has no id"),
        (
            "two panels of one title",
            panel("tandem-auth", lambda p: p.update(title="Hashes")),
            "several panels are called Hashes",
        ),
        (
            "two dashboards of one uid",
            dashboard("tandem-auth", lambda d: d.update(uid="tandem-calls")),
            "several dashboards have the uid",
        ),
        (
            "two dashboards of one title",
            dashboard("tandem-auth", lambda d: d.update(title="Tandem: calls")),
            "several dashboards have the title",
        ),
        ("no tag", dashboard("tandem-auth", lambda d: d.update(tags=[])), "has no tag"),
        ("no dashboards", lambda root: shutil.rmtree(root / DASHBOARDS), "there are no dashboards"),
    ],
    "panels_say_what_they_show": [
        ("no description", panel("tandem-auth", lambda p: p.pop("description")), "Log-ins: no description"),
        (
            "a dashboard without a description",
            dashboard("tandem-auth", lambda d: d.pop("description")),
            "tandem-auth: no description",
        ),
        ("no title", panel("tandem-auth", lambda p: p.update(title="")), "panel 2: no title"),
        ("no unit", panel("tandem-auth", lambda p: p["fieldConfig"]["defaults"].pop("unit")), "Log-ins: no unit"),
        (
            "a unit that there is not",
            panel("tandem-auth", lambda p: p["fieldConfig"]["defaults"].update(unit="calls/s")),
            "knows no unit calls/s",
        ),
        (
            "no thresholds",
            panel("tandem-auth", lambda p: p["fieldConfig"]["defaults"].pop("thresholds")),
            "Log-ins: no thresholds",
        ),
        ("no legend", panel("tandem-auth", lambda p: p["targets"][0].pop("legendFormat")), "Log-ins: no legend"),
        ("no query", panel("tandem-auth", lambda p: p.update(targets=[])), "Log-ins: no query"),
        (
            "two queries of one name",
            panel("tandem-calls", lambda p: p["targets"].append(p["targets"][0])),
            "several queries are called A",
        ),
    ],
    "panels_have_places_of_their_own": [
        ("a panel on another one", panel("tandem-auth", lambda p: p["gridPos"].update(x=4)), "lies on Log-ins"),
        ("a panel beside the page", panel("tandem-auth", lambda p: p["gridPos"].update(x=22)), "does not fit"),
    ],
    "the_choice_of_source_service_and_replica_holds_everywhere": [
        (
            "a fixed source",
            panel("tandem-auth", lambda p: p["datasource"].update(uid="prometheus")),
            "another data source",
        ),
        (
            "a fixed source of a query",
            panel("tandem-auth", lambda p: p["targets"][0]["datasource"].update(uid="x")),
            "another data source",
        ),
        ("a query of all replicas", query(', instance=~"$instance"', ""), "does not follow the variable instance"),
        ("a query of all namespaces", query('namespace=~"$namespace", ', ""), "does not follow the variable namespace"),
        ("a query of one service", query('job=~"$job"', 'job="auth-service"'), "does not follow the variable job"),
        ("a variable that there is not", query('job=~"$job"', 'job=~"$jobs"'), "the variable jobs is not defined"),
        (
            "a variable without a use",
            variable("method", lambda v: v.update(name="methods")),
            "the variable methods is not used",
        ),
    ],
    "alerts_say_what_happened_and_where_to_read_on": [
        (
            "no summary",
            text(RULES, r"^ +summary: Calls of [^\n]* fail\n", ""),
            "TandemErrorBudgetBurnsFast: no summary",
        ),
        (
            "no description",
            text(RULES, r"^ +description: >-\n(?: {12}[^\n]*\n)+", ""),
            "TandemErrorBudgetBurnsFast: no description",
        ),
        ("a severity of its own", text(RULES, "severity: critical", "severity: page"), "its severity is none of"),
        ("no severity", text(RULES, r"labels:\n          severity: critical", "labels: {}"), "its severity is none of"),
        (
            "the way to another alert",
            text(RULES, "alerts.md#tandemfeedlags", "alerts.md#tandemfeed"),
            "TandemFeedLags: its runbook",
        ),
        ("a name of anybody's", text(RULES, "alert: TandemFeedLags", "alert: FeedLags"), "does not say whose it is"),
        (
            "two alerts of one name",
            text(RULES, "alert: TandemFeedLags", "alert: TandemFeedNotFollowed"),
            "several alerts",
        ),
    ],
    "every_alert_is_explained": [
        ("an alert that is left out", text(ALERTS, section("TandemFeedLags"), ""), "does not explain TandemFeedLags"),
        (
            "one that there is not",
            text(ALERTS, "### TandemFeedLags", "### TandemFeedLate"),
            "explains TandemFeedLate, which is no",
        ),
        (
            "one twice",
            text(ALERTS, "### TandemFeedLags", "### TandemFeedNotFollowed"),
            "explains TandemFeedNotFollowed twice",
        ),
        ("nothing to do", text(ALERTS, r"\*\*Do\*\*", ""), "does not say what to do about TandemServiceDown"),
        (
            "another severity",
            text(ALERTS, r"^Critical:", "Warning:"),
            "does not say that TandemServiceDown is critical",
        ),
    ],
    "the_explanations_name_panels_that_there_are": [
        (
            "a panel that was renamed",
            panel("tandem-calls", lambda p: p.update(title="Slow calls"), 18),
            "names the panel 99th percentile by method",
        ),
    ],
    "what_is_recorded_is_used": [
        (
            "a record without a use",
            text(RULES, r"ratio_avg1h$", "ratio_avg2h"),
            "nothing uses namespace_job:tandem_calls_failed:ratio_avg2h",
        ),
    ],
    "every_name_is_one_that_the_services_export": [
        (
            "a metric that there is not",
            query("tandem_log_ins_total", "tandem_logins_total"),
            "no metric tandem_logins_total",
        ),
        (
            "a label that there is not",
            query('job=~"$job"', 'job=~"$job", result="ok"'),
            "tandem_log_ins_total has no label result",
        ),
        ("a value that there is not", query('job=~"$job"', 'job=~"$job", outcome!="okay"'), "has no outcome='okay'"),
        ("one of several values", query("|rate_limited", "|ratelimited", number=2), "has no outcome=~'ratelimited'"),
        ("a job that there is not", query('job=~"$job"', 'job=~"auth|users-service"'), "has no job=~'auth'"),
        ("a label to group by", query("sum(", "sum by (user) ("), "no label user to group or match by"),
        (
            "a label to ignore",
            query("ignoring (state)", "ignoring (stat)", "tandem-stores", 12),
            "no label stat to group or match by",
        ),
        (
            "a variable that asks for nothing",
            variable("namespace", lambda v: v["query"].update(query="label_values(grpc_calls, namespace)")),
            "no metric grpc_calls",
        ),
        (
            "a rule that asks for nothing",
            text(RULES, "Internal.Unknown.DataLoss", "Internl|Unknown|DataLoss"),
            "has no grpc_code=~'Internl'",
        ),
        (
            "a rule that groups by nothing",
            text(RULES, r"by \(namespace, job, database\)", "by (namespace, job, db)"),
            "no label db",
        ),
        (
            "a record that is not there",
            text(RULES, "record: namespace_job:tandem_calls:rate5m", "record: namespace_job:tandem_calls:rate"),
            "tandem_calls:rate is not recorded",
        ),
    ],
    "everything_that_is_exported_is_on_a_dashboard": [
        (
            "a metric on no panel",
            query("process_threads", "process_open_fds", "tandem-stores", 22),
            "no panel shows process_threads",
        ),
    ],
    "variables_offer_something": [
        (
            "a variable of a metric that is not there",
            variable("job", lambda v: v["query"].update(query="label_values(nothing, job)")),
            "variable job is empty",
        ),
        (
            "a variable of a label that is not there",
            variable("job", lambda v: v["query"].update(query="label_values(grpc_server_started_total, jobs)")),
            "variable job is empty",
        ),
    ],
    "panels_show_something": [
        (
            "a query of nothing",
            query("tandem_log_ins_total", "tandem_logins_total"),
            "tandem-auth, Log-ins (A; compose, All): empty",
        ),
        (
            "the same in Kubernetes",
            query('job=~"$job"', 'job=~"$job", pod=""'),
            "tandem-auth, Log-ins (A; kubernetes, each one): empty",
        ),
        ("a query that cannot be evaluated", query("sum(", "sum(sum("), "unclosed left parenthesis"),
        ("a division by nothing", query("> 0)", "* 0)", number=2), "inf of"),
        (
            "a variable that is not as Grafana fills it in",
            query('instance=~"$instance"', 'instance="$instance"'),
            "empty",
        ),
    ],
    "legends_tell_series_apart": [
        (
            "a legend of a label that is not there",
            panel("tandem-calls", lambda p: p["targets"][0].update(legendFormat="{{service}}")),
            "its legend names service",
        ),
        (
            "one legend for all",
            panel("tandem-calls", lambda p: p["targets"][0].update(legendFormat="calls")),
            "several series are called 'calls'",
        ),
    ],
    "what_rules_compare_is_there": [
        (
            "a rule about nothing",
            text(RULES, r"max by \(namespace\) \(tandem_feed_lag_seconds\)", "max by (namespace) (tandem_feed_lag)"),
            "TandemFeedLags (compose):",
        ),
        (
            "one side of a rule",
            text(RULES, r'absent\(up\{job=~"users-service\|tandem"\}\)', 'absent(up{job=~"users"})'),
            "TandemServiceDown (compose):",
        ),
        (
            "a match of other labels",
            text(RULES, r"/ on \(namespace, pod, container\)", "/ on (namespace, job, container)"),
            "TandemMemoryNearLimit (kubernetes):",
        ),
    ],
    "rules_can_be_evaluated": [
        (
            "a match of many with many",
            text(RULES, r"/ ignoring \(state\)", "/ on (database)"),
            "TandemDatabasePoolFull (compose):",
        ),
    ],
    "alerts_name_labels_that_they_have": [
        (
            "a label that was summed away",
            text(RULES, r"A replica of \{\{ \$labels.job \}\}", "{{ $labels.instance }}"),
            "it names the label instance",
        ),
    ],
    "all_is_quiet_where_all_is_well": [
        (
            "an alert that is always there",
            text(RULES, r"tandem_feed_connected\) < 1", "tandem_feed_connected) < 2"),
            "TandemFeedNotFollowed (compose):",
        ),
        (
            "the same in Kubernetes",
            text(RULES, r"(?<=resource=.memory.}\)\n          )> 0.9", "> 0.001"),
            "TandemMemoryNearLimit (kubernetes):",
        ),
    ],
}
# About the calls that the test itself makes, not about files.
WITHOUT = {"every_method_was_called"}


def export(path):
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2) + "\n")
