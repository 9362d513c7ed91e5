#!/usr/bin/env python3
"""Checks dashboards and rules against what the services really export. Run by tests/observability.

The services run, are called in every way and are scraped by Prometheus three times over: as the compose file has it,
with the labels that an operator in Kubernetes gives, and as the all-in-one. Every query is then asked there. Each check
also looks at copies that are broken in a way that it is for, and has to say so.
"""

import argparse
import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

import broken
import calls
import grafana
import promql
import services
import shipped
from shipped import (
    ALERTS,
    COMPONENT,
    DASHBOARDS,
    OBSERVABILITY,
    PROMETHEUS,
    PROVISIONING,
    ROOT,
    RULE_RESOURCE,
    RULE_TESTS,
    RULES,
    Shipped,
)
from tandem_process import Tandem

JOBS = {"auth-service", "users-service"}
# Labels that say which target something is of: of any Prometheus, and of the operator's.
EVERYWHERE = {"job", "instance"}
IN_KUBERNETES = {"namespace", "pod", "container", "endpoint"}
# What Prometheus knows by itself, and what kube-state-metrics says.
FROM_ELSEWHERE = re.compile(r"up|scrape_.*|ALERTS.*|kube_.*")
SEVERITIES = {"critical", "warning"}
# By the crowd for hashes, its log-ins and its bad token; and by whatever else runs on the machine.
BROUGHT_ABOUT = {
    "TandemErrorBudgetBurnsFast",
    "TandemErrorBudgetBurnsSlowly",
    "TandemHashQueueFull",
    "TandemLogInsGuessed",
    "TandemWorkloadRefused",
    "TandemCallsSlow",
    "TandemHashQueueSlow",
    "TandemDatabasePoolFull",
    "TandemDatabaseSlowToBegin",
}
# How the services log what they answer INTERNAL.
INTERNAL = re.compile(r'"message":"(internal error|a handler panicked)|"code":"(INTERNAL|UNKNOWN|DATA_LOSS)"')
SENTENCE = re.compile(r"\S.*[.]", re.S)


class World:
    """What the checks look at beside the files: promtool, and each Prometheus with what it knows."""

    def __init__(self, promtool, all=(), log=()):
        self.promtool, self.log = promtool, list(log)
        self.all = list(all)
        self.known = [known(one) for one in self.all]
        self.union = {}
        for one in self.known:
            for metric, series in one.items():
                self.union.setdefault(metric, []).extend(series)
        every = [labels for series in self.union.values() for labels in series]
        self.of_targets = {name: {labels.get(name, "") for labels in every} for name in EVERYWHERE | IN_KUBERNETES}

    def tool(self, *arguments, folder):
        done = subprocess.run(
            [self.promtool, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return [] if done.returncode == 0 else [f"promtool {' '.join(arguments)}:\n{done.stdout.strip()}"]


def known(prometheus):
    """The labels of every series, by metric."""
    found = {}
    for labels in prometheus.get("series", **{"match[]": '{__name__=~".+"}'}):
        found.setdefault(labels.pop("__name__"), []).append(labels)
    return found


# --------------------------------------------------------------------------------------------------------- the files


def promtool_accepts_configuration_and_rules(files, world):
    folder = files.root / PROMETHEUS.parent
    # With the rules that it names beside it.
    yield from world.tool("check", "config", PROMETHEUS.name, folder=folder)
    yield from world.tool("check", "rules", RULES.name, folder=folder)


def the_alerts_pass_their_tests(files, world):
    yield from world.tool("test", "rules", RULE_TESTS.name, folder=files.root / RULE_TESTS.parent)


def every_alert_is_tested_to_fire_and_to_stay_quiet(files, _):
    fires, quiet = set(), set()
    for test in files.yaml(RULE_TESTS)["tests"]:
        for case in test.get("alert_rule_test", []):
            (fires if case.get("exp_alerts") else quiet).add(case["alertname"])
    names = {alert["alert"] for alert in files.alerts}
    for missing, what in ((names - fires, "fires"), (names - quiet, "stays quiet")):
        yield from (f"no test in which {name} {what}" for name in sorted(missing))
    yield from (f"a test of {name}, which is no alert" for name in sorted((fires | quiet) - names))


def the_configuration_scrapes_the_jobs_that_the_rules_know(files, _):
    config = files.yaml(PROMETHEUS)
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    if jobs != JOBS:
        yield f"the jobs are {', '.join(sorted(jobs))}, not {', '.join(sorted(JOBS))}"
    for job in config["scrape_configs"]:
        if job["job_name"] not in JOBS:
            continue
        ports = {found["port"] for found in job.get("dns_sd_configs", [])}
        default = re.search(r'^# ops_listen = "127\.0\.0\.1:(\d+)"', files.text(f"deploy/{job['job_name']}.toml"), re.M)
        if ports != {int(default[1])}:
            yield f"{job['job_name']} is scraped at port {ports}, but its operations listener is at {default[1]}"
    if config.get("rule_files") != [RULES.name]:
        yield f"rule_files is not {RULES.name}"


def the_operators_rules_are_the_same(files, _):
    if files.text(RULE_RESOURCE) != shipped.rule_resource(files.text(RULES)):
        yield f"{RULE_RESOURCE} is not what comes of {RULES}: run tests/observability write"
    elif files.yaml(RULE_RESOURCE)["spec"]["groups"] != files.groups:
        yield f"{RULE_RESOURCE} has other groups than {RULES}"


def the_component_has_every_rule_and_dashboard(files, _):
    component = files.yaml(COMPONENT)
    if component.get("kind") != "Component":
        yield "it is no Component"
    if component.get("resources") != [str(RULE_RESOURCE.relative_to(OBSERVABILITY))]:
        yield f"its resources are not {RULE_RESOURCE.name} alone"
    listed = []
    for config_map in component.get("configMapGenerator", []):
        listed += config_map.get("files", [])
        options = config_map.get("options", {})
        if options.get("labels", {}).get("grafana_dashboard") != "1":
            yield f"{config_map['name']} has no label grafana_dashboard"
        # Or the one before would stay behind after a change, with the same uid in it.
        if not options.get("disableNameSuffixHash"):
            yield f"{config_map['name']} changes its name with its content"
    wanted = [str((DASHBOARDS / f"{uid}.json").relative_to(OBSERVABILITY)) for uid in files.dashboards]
    if sorted(listed) != sorted(wanted):
        yield f"it has the files {sorted(listed)}, there are {sorted(wanted)}"


def grafana_is_provisioned(files, _):
    sources = files.yaml(PROVISIONING / "datasources/tandem.yaml")["datasources"]
    found = {source["type"]: source["url"] for source in sources}
    wanted = {"prometheus": "http://prometheus:9090", "jaeger": "http://jaeger:16686"}
    if found != wanted:
        yield f"the data sources are {found}, not {wanted}"
    if sum(source.get("isDefault", False) for source in sources) != 1:
        yield "not one of the data sources is the default"
    providers = files.yaml(PROVISIONING / "dashboards/tandem.yaml")["providers"]
    if [provider["options"]["path"] for provider in providers] != ["/etc/grafana/dashboards"]:
        yield "the dashboards are not looked for where the compose file puts them"


def dashboards_are_formatted(files, _):
    for uid, dashboard in files.dashboards.items():
        if files.text(DASHBOARDS / f"{uid}.json") != shipped.formatted(dashboard) + "\n":
            yield f"{uid}: run tests/observability write"


def dashboards_fit_grafanas_model(files, _):
    for uid, dashboard in files.dashboards.items():
        yield from (f"{uid}: {problem}" for problem in grafana.problems(dashboard))


def dashboards_and_panels_can_be_told_apart(files, _):
    if not files.dashboards:
        yield "there are no dashboards"
    for uid, dashboard in files.dashboards.items():
        if dashboard.get("uid") != uid:
            yield f"{uid}: its uid is {dashboard.get('uid')}, not the name of its file"
        for number in repeated(panel.get("id") for panel in dashboard["panels"]):
            yield f"{uid}: several panels have the id {number}"
        if any("id" not in panel for panel in dashboard["panels"]):
            yield f"{uid}: a panel has no id"
        for title in repeated(panel.get("title") for panel in dashboard["panels"] if panel["type"] != "row"):
            yield f"{uid}: several panels are called {title}"
        if "tandem" not in dashboard.get("tags", []):
            yield f"{uid}: has no tag by which the others link to it"
    for what in ("uid", "title"):
        for value in repeated(dashboard.get(what) for dashboard in files.dashboards.values()):
            yield f"several dashboards have the {what} {value}"


def panels_say_what_they_show(files, _):
    for uid, dashboard in files.dashboards.items():
        if not SENTENCE.fullmatch(dashboard.get("description", "")):
            yield f"{uid}: no description"
    for name, panel in files.panels():
        defaults = panel["fieldConfig"]["defaults"]
        if not panel.get("title"):
            yield f"{name}: no title"
        if not SENTENCE.fullmatch(panel.get("description", "")):
            yield f"{name}: no description"
        if "unit" not in defaults:
            yield f"{name}: no unit"
        elif defaults["unit"] not in grafana.UNITS:
            yield f"{name}: Grafana knows no unit {defaults['unit']}"
        if not defaults.get("thresholds", {}).get("steps"):
            yield f"{name}: no thresholds"
        if not panel["targets"]:
            yield f"{name}: no query"
        for target in panel["targets"]:
            if not target.get("legendFormat"):
                yield f"{name}: no legend"
        for letter in repeated(target.get("refId") for target in panel["targets"]):
            yield f"{name}: several queries are called {letter}"


def panels_have_places_of_their_own(files, _):
    for uid, dashboard in files.dashboards.items():
        taken = {}
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            if place["x"] + place["w"] > 24:
                yield f"{uid}, {panel['title']}: does not fit into the 24 columns"
            cells = itertools.product(
                range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            )
            others = {taken.setdefault(cell, panel["title"]) for cell in cells} - {panel["title"]}
            for other in others:
                yield f"{uid}, {panel['title']}: lies on {other}"


def the_choice_of_source_service_and_replica_holds_everywhere(files, _):
    for name, panel in [*files.panels(), *files.variables()]:
        for one in [panel, *panel.get("targets", [])]:
            if one.get("datasource") != {"type": "prometheus", "uid": "${datasource}"}:
                yield f"{name}: asks another data source than the one that is chosen"
    recorded = {rule["record"] for rule in files.recorded}
    for name, panel in files.panels():
        for target in panel["targets"]:
            for selector in promql.selectors(promql.parse(substituted(target["expr"], {}))):
                metric = promql.metric_of(selector)
                matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
                for variable in ("namespace", "job", *(() if metric in recorded else ("instance",))):
                    if matchers.get(variable) != f"${variable}":
                        yield f"{name}: {metric} does not follow the variable {variable}"
    for uid, dashboard in files.dashboards.items():
        defined = {variable["name"] for variable in dashboard["templating"]["list"]}
        text = str(dashboard["panels"]) + str([variable["query"] for variable in dashboard["templating"]["list"]])
        used = set(re.findall(r"\$\{?([a-z]\w*)", text)) - {"__rate_interval"}
        yield from (f"{uid}: the variable {name} is not defined" for name in sorted(used - defined))
        yield from (f"{uid}: the variable {name} is not used" for name in sorted(defined - used))


def alerts_say_what_happened_and_where_to_read_on(files, _):
    for alert in files.alerts:
        name, notes = alert["alert"], alert.get("annotations", {})
        if not name.startswith("Tandem"):
            yield f"{name}: its name does not say whose it is"
        if alert.get("labels", {}).get("severity") not in SEVERITIES:
            yield f"{name}: its severity is none of {', '.join(sorted(SEVERITIES))}"
        if not notes.get("summary"):
            yield f"{name}: no summary"
        if not SENTENCE.fullmatch(notes.get("description", "")):
            yield f"{name}: no description"
        if notes.get("runbook") != f"{ALERTS}#{name.lower()}":
            yield f"{name}: its runbook is not {ALERTS}#{name.lower()}"
    for name in repeated(alert["alert"] for alert in files.alerts):
        yield f"several alerts are called {name}"


def every_alert_is_explained(files, _):
    headings = re.findall(r"^#+ (Tandem\w+)$", files.text(ALERTS), re.M)
    names = {alert["alert"] for alert in files.alerts}
    yield from (f"{ALERTS} does not explain {name}" for name in sorted(names - set(headings)))
    yield from (f"{ALERTS} explains {name}, which is no alert" for name in sorted(set(headings) - names))
    yield from (f"{ALERTS} explains {name} twice" for name in repeated(headings))
    for section in re.split(r"^#+ (?=Tandem)", files.text(ALERTS), flags=re.M)[1:]:
        name = section.split("\n")[0]
        if "**Do**" not in section:
            yield f"{ALERTS} does not say what to do about {name}"
        severity = next((alert["labels"]["severity"] for alert in files.alerts if alert["alert"] == name), None)
        if severity and f"\n{severity}:" not in section.lower():
            yield f"{ALERTS} does not say that {name} is {severity}"


def the_explanations_name_panels_that_there_are(files, _):
    titles = {panel["title"] for _, panel in files.panels()}
    for named in re.findall(r"(?<![*\w])\*(\w[^*]*)\*(?!\*)", files.text(ALERTS)):
        if " ".join(named.split()) not in titles:
            yield f"{ALERTS} names the panel {' '.join(named.split())}, which is on no dashboard"


def what_is_recorded_is_used(files, _):
    used = {metric for _, expression in every_expression(files) for metric in promql.metrics(promql.parse(expression))}
    for rule in files.recorded:
        if rule["record"] not in used:
            yield f"nothing uses {rule['record']}"


# ------------------------------------------------------------------------------------------------------- the queries


def every_name_is_one_that_the_services_export(files, world):
    recorded = {rule["record"] for rule in files.recorded}
    for name, expression in every_expression(files):
        for problem in promql.misnamed(promql.parse(expression), world.union, world.of_targets):
            yield f"{name}: {problem}"
    for metric in recorded - world.union.keys():
        yield f"{metric} is not recorded"


def everything_that_is_exported_is_on_a_dashboard(files, world):
    shown = set()
    for name, expression in every_expression(files):
        if name.startswith("panel "):
            shown |= {family(metric) for metric in promql.metrics(promql.parse(expression))}
    recorded = {rule["record"] for rule in files.recorded}
    exported = {family(metric) for metric in world.union if not FROM_ELSEWHERE.fullmatch(metric)} - recorded
    yield from (f"no panel shows {metric}" for metric in sorted(exported - shown))


def variables_offer_something(files, world):
    for name, variable in files.variables():
        if not any(offered(variable, one, {}) for one in world.all):
            yield f"{name} is empty"


def panels_show_something(files, world):
    yield from (problem for kind, problem in shown(files, world) if kind == "values")


def legends_tell_series_apart(files, world):
    yield from (problem for kind, problem in shown(files, world) if kind == "legends")


def shown(files, world):
    """Asks what every panel asks, in each Prometheus, with everything chosen: by `All`, and one by one."""
    for one, chosen in itertools.product(world.all, (False, True)):
        for uid, dashboard in files.dashboards.items():
            values = {}
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    options = offered(variable, one, values) if chosen else []
                    values[variable["name"]] = options or variable["allValue"]
            where = f"{one.name}, {'each one' if chosen else 'All'}"
            for panel in dashboard["panels"]:
                yield from panel_shown(uid, panel, one, values, where)


def panel_shown(uid, panel, one, values, where):
    legends = []
    for target in panel.get("targets", []):
        name = f"{uid}, {panel['title']} ({target['refId']}; {where})"
        try:
            series = one.query(substituted(target["expr"], values))
        except services.RefusedQuery as error:
            yield "values", f"{name}: {error}"
            continue
        if not series:
            yield "values", f"{name}: empty"
        for labels, value in series:
            if value != value or abs(value) == float("inf"):
                yield "values", f"{name}: {value} of {labels}"
            for label in re.findall(r"{{(.*?)}}", target["legendFormat"]):
                if label not in labels and not (label in IN_KUBERNETES and one.name != "kubernetes"):
                    yield "legends", f"{name}: its legend names {label}, which {labels} lacks"
            legends.append(re.sub(r"{{(.*?)}}", lambda found: labels.get(found[1], ""), target["legendFormat"]))
    for legend in repeated(legends):
        yield "legends", f"{uid}, {panel['title']} ({where}): several series are called {legend!r}"


def what_rules_compare_is_there(files, world):
    for rule in files.rules:
        name = rule.get("alert") or rule["record"]
        for part in promql.parts(promql.parse(rule["expr"])):
            asked = 0
            for one, known in zip(world.all, world.known):
                # The memory of a container is known in Kubernetes only.
                if any(metric in world.union and metric not in known for metric in promql.metrics(part)):
                    continue
                asked += 1
                try:
                    numbers = [value for _, value in one.query(str(part)) if value == value]
                except services.RefusedQuery as error:
                    yield f"{name} ({one.name}): {error}"
                    continue
                if not numbers:
                    yield f"{name} ({one.name}): {part} is empty"
            if not asked:
                yield f"{name}: {part} is asked nowhere"


def rules_can_be_evaluated(files, world):
    for one in world.all:
        for rule in files.rules:
            try:
                one.query(rule["expr"])
            except services.RefusedQuery as error:
                yield f"{rule.get('alert') or rule['record']} ({one.name}): {error}"
        for group in one.get("rules")["groups"]:
            for rule in group["rules"]:
                if rule["health"] != "ok":
                    yield f"{rule['name']} ({one.name}): {rule.get('lastError')}"


def alerts_name_labels_that_they_have(files, world):
    for alert in files.alerts:
        labels = set(alert.get("labels", {}))
        for one, part in itertools.product(world.all, promql.parts(promql.parse(alert["expr"]))):
            # A part that is refused is what the checks above are for.
            with contextlib.suppress(services.RefusedQuery):
                labels |= {label for found, _ in one.query(str(part)) for label in found}
        for label in sorted(set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"]))) - labels):
            yield f"{alert['alert']}: it names the label {label}, which it never has"


def all_is_quiet_where_all_is_well(files, world):
    """Nothing is away, broken or full here. What the calls of this test and a busy machine do bring about is left out."""
    for alert, one in itertools.product(files.alerts, world.all):
        if alert["alert"] not in BROUGHT_ABOUT:
            with contextlib.suppress(services.RefusedQuery):
                for labels, value in one.query(alert["expr"]):
                    yield f"{alert['alert']} ({one.name}): {value} of {labels}"
    yield from (f"a service logged: {line.strip()}" for line in world.log if INTERNAL.search(line))


def every_method_was_called(_, world):
    """About the calls of this test: what nobody has called shows nothing."""
    ours = 'grpc_service=~"tandem[.].*"'
    for one in world.all:
        succeeded = {
            (labels["grpc_service"], labels["grpc_method"])
            for labels, _ in one.query(f'grpc_server_handled_total{{{ours}, grpc_code="OK"}} > 0')
        }
        for labels, value in one.query(f"sum by (grpc_service, grpc_method) (grpc_server_started_total{{{ours}}})"):
            service, method = labels["grpc_service"], labels["grpc_method"]
            # The stream of accounts ends when the service does.
            if not value or ((service, method) not in succeeded and method != "WatchAccounts"):
                yield f"{one.name}: {service}/{method} never succeeded"
        for outcome in ("ok", "invalid_fields", "invalid_credentials", "account_inactive", "rate_limited"):
            if not one.query(f'sum(tandem_log_ins_total{{outcome="{outcome}"}})')[0][1]:
                yield f"{one.name}: no log-in was {outcome}"
        for expression in (
            'tandem_sessions_ended_total{reason="displaced"}',
            'tandem_hash_refusals_total{reason="queue"}',
        ):
            if not one.query(f"sum({expression})")[0][1]:
                yield f"{one.name}: {expression} is 0"


OF_FILES = [
    promtool_accepts_configuration_and_rules,
    the_alerts_pass_their_tests,
    every_alert_is_tested_to_fire_and_to_stay_quiet,
    the_configuration_scrapes_the_jobs_that_the_rules_know,
    the_operators_rules_are_the_same,
    the_component_has_every_rule_and_dashboard,
    grafana_is_provisioned,
    dashboards_are_formatted,
    dashboards_fit_grafanas_model,
    dashboards_and_panels_can_be_told_apart,
    panels_say_what_they_show,
    panels_have_places_of_their_own,
    the_choice_of_source_service_and_replica_holds_everywhere,
    alerts_say_what_happened_and_where_to_read_on,
    every_alert_is_explained,
    the_explanations_name_panels_that_there_are,
    what_is_recorded_is_used,
]
OF_QUERIES = [
    every_method_was_called,
    every_name_is_one_that_the_services_export,
    everything_that_is_exported_is_on_a_dashboard,
    variables_offer_something,
    panels_show_something,
    legends_tell_series_apart,
    what_rules_compare_is_there,
    rules_can_be_evaluated,
    alerts_name_labels_that_they_have,
    all_is_quiet_where_all_is_well,
]


# ------------------------------------------------------------------------------------------------------------- tools


def repeated(values):
    values = [value for value in values if value is not None]
    return sorted({value for value in values if values.count(value) > 1})


def family(metric):
    """A histogram is one metric, whatever it is asked for."""
    return re.sub(r"_(bucket|count|sum)$", "", metric)


def substituted(expression, values):
    """As Grafana fills in variables: several values as a regular expression, which has them literally."""
    for name, value in values.items():
        if not isinstance(value, str):
            value = "(" + "|".join(re.sub(r"([\\^$*+?.()|{}\[\]/])", r"\\\\\1", option) for option in value) + ")"
        expression = expression.replace(f"${name}", value)
    return expression.replace("$__rate_interval", "1m")


def every_expression(files):
    """Everything that is asked, with a name: variables stand for everything."""
    for uid, dashboard in files.dashboards.items():
        everything = {variable["name"]: variable.get("allValue") for variable in dashboard["templating"]["list"]}
        everything.pop("datasource", None)
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"panel {uid}, {panel['title']} ({target['refId']})", substituted(target["expr"], everything)
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{uid}, variable {variable['name']}", substituted(label_values(variable)[0], everything)
    for rule in files.rules:
        yield rule.get("alert") or rule["record"], rule["expr"]


def label_values(variable):
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
    if not found:
        raise ValueError(f"the variable {variable['name']} does not ask for the values of a label")
    return found.groups()


def offered(variable, prometheus, values):
    """What a variable offers, after what was chosen before it."""
    series, label = label_values(variable)
    values = {"namespace": ".*", "job": ".*", "instance": ".*"} | values
    return prometheus.get(f"label/{label}/values", **{"match[]": substituted(series, values)})


# ----------------------------------------------------------------------------------------------------------- running


@contextlib.contextmanager
def world_of(arguments, folder):
    """Starts everything, calls everything, and waits until Prometheus has seen it."""
    with contextlib.ExitStack() as stack:
        (folder / "pair").mkdir()
        pair = stack.enter_context(services.Pair(arguments.binaries, folder / "pair", os.environ["DATABASE_URL"]))
        tandem = stack.enter_context(Tandem(arguments.binaries / "tandem", folder / "tandem", services.SETTINGS))
        scraped = stack.enter_context(scraping(arguments, folder, pair, tandem))
        for one in scraped:
            services.until(lambda: every_target_is_up(one), 60, f"{one.name}: its targets")
        for caller in [*pair.callers(), caller_of(tandem, folder / "tandem")]:
            with caller:
                caller.call()
        # What can only be looked at is looked at every 5 seconds.
        moment = time.time() + 6
        for one in scraped:
            services.until(lambda: one.sees(moment), 120, f"{one.name} to see what was called")
        log = itertools.chain(tandem.log, *(service.output for service in [*pair.auth, *pair.users]))
        yield World(arguments.promtool, scraped, log)


@contextlib.contextmanager
def scraping(arguments, folder, pair, tandem):
    files = Shipped(ROOT)
    pods = [(job, f"{job}-{number}") for job in pair.targets() for number in range(2)]
    with contextlib.ExitStack() as stack:
        kube = stack.enter_context(services.KubeStateMetrics(pods))
        configurations = {
            "compose": scrape_configs(files, {job: [{"targets": found}] for job, found in pair.targets().items()}),
            "kubernetes": [
                *scrape_configs(files, {job: list(in_kubernetes(job, found)) for job, found in pair.targets().items()}),
                {
                    "job_name": "kube-state-metrics",
                    "honor_labels": True,
                    "static_configs": [{"targets": [kube.address]}],
                },
            ],
            "tandem": [{"job_name": "tandem", "static_configs": [{"targets": [tandem.auth_ops]}]}],
        }
        yield [
            stack.enter_context(
                services.Prometheus(
                    name,
                    arguments.prometheus,
                    folder / f"prometheus-{name}",
                    files.yaml(PROMETHEUS) | {"scrape_configs": found},
                    files.text(RULES),
                )
            )
            for name, found in configurations.items()
        ]


def scrape_configs(files, targets):
    """The jobs as they are shipped, but for where their targets are found."""
    jobs = files.yaml(PROMETHEUS)["scrape_configs"]
    for job in jobs:
        del job["dns_sd_configs"]
        job["static_configs"] = targets[job["job_name"]]
    return jobs


def in_kubernetes(job, addresses):
    """With the labels that the Prometheus operator gives the targets of a PodMonitor."""
    for number, address in enumerate(addresses):
        labels = {"namespace": "tandem", "pod": f"{job}-{number}", "container": job, "endpoint": "ops"}
        yield {"targets": [address], "labels": labels}


def every_target_is_up(prometheus):
    up = prometheus.query("up")
    wanted = len(prometheus.get("targets", state="active")["activeTargets"])
    return wanted and len(up) == wanted and all(value == 1 for _, value in up)


def caller_of(tandem, data):
    said = dict(re.findall(r"^  (username|password)  +(\S+)$", "".join(tandem.welcome), re.M))
    token = (data / "workload-token").read_text().split()[0]
    return calls.Caller(tandem.auth, tandem.users, tandem.identity, token, (said["username"], said["password"]))


def run(checks, world):
    """Runs checks on the clone's files, and then on the copies that are broken in their way. Counts what failed."""
    failed = 0
    for check in checks:
        name = check.__name__.replace("_", " ")
        problems = found_by(check, ROOT, world)
        # Where the files themselves are bad, what is made worse in them says nothing.
        missed = [] if problems else list(unnoticed(check, world))
        failed += bool(problems or missed)
        print(f"{'FAILED' if problems or missed else 'ok'}  {name}")
        for problem in [*problems, *missed]:
            print("        " + problem.replace("\n", "\n        "))
        sys.stdout.flush()
    return failed


def found_by(check, root, world):
    """The problems that a check finds, which may be that it cannot make sense of the files."""
    try:
        return list(check(Shipped(root), world))
    except (yaml.YAMLError, promql.Invalid, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        return [f"cannot be checked: {type(error).__name__}: {error}"]


def unnoticed(check, world):
    """Which of the broken copies a check takes for a good one."""
    for what, damage, wanted in broken.COPIES.get(check.__name__, []):
        with tempfile.TemporaryDirectory() as folder:
            broken.copy(ROOT, folder)
            try:
                damage(Path(folder))
            except (ValueError, LookupError) as error:
                yield f"there is no more {what}: {error}"
                continue
            found = found_by(check, folder, world)
        for one in [wanted] if isinstance(wanted, str) else wanted:
            if not any(one in problem for problem in found):
                yield f"does not notice {what}: says {found or 'nothing'} in place of {one!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--binaries", type=Path, required=True, help="the folder with auth-service, users-service and tandem"
    )
    parser.add_argument("--prometheus", required=True, help="the program")
    parser.add_argument("--promtool", required=True, help="the program")
    arguments = parser.parse_args()
    # So that whoever ends this ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = run(OF_FILES, World(arguments.promtool))
    with tempfile.TemporaryDirectory(prefix="tandem-observability.") as folder:
        folder = Path(folder)
        try:
            with world_of(arguments, folder) as world:
                failed += run(OF_QUERIES, world)
        except (services.Failed, yaml.YAMLError, ValueError, LookupError) as error:
            print(f"FAILED  what the queries are asked of does not run\n{error}")
            failed += len(OF_QUERIES)
    checks = len(OF_FILES) + len(OF_QUERIES)
    untried = {check.__name__ for check in OF_FILES + OF_QUERIES} - broken.COPIES.keys() - broken.WITHOUT
    for name in sorted(untried):
        print(f"FAILED  no broken copy is known to fail the check: {name.replace('_', ' ')}")
    print(f"{checks - failed} passed, {failed + len(untried)} failed")
    return 1 if failed or untried else 0


if __name__ == "__main__":
    sys.exit(main())
