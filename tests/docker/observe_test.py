#!/usr/bin/env python3
"""What docker/observe/ has: rules that fire when they should, and queries that parse and ask for metrics that there are."""
import glob
import itertools
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import yaml

import metric_names
import promql

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
OBSERVE = os.path.join(TOP, "docker", "observe")
RULES = os.path.join(OBSERVE, "alerts.yml")
UNIT_TESTS = os.path.join(HERE, "alerts_test.yml")
OPERATIONS = os.path.join(TOP, "docs", "operations.md")

# What Prometheus adds to everything that it scrapes, and what it makes itself.
SCRAPED = {"instance": None, "job": ("corod",)}
PROMETHEUS_OWN = {"up": {}, "ALERTS": {"alertname": None, "alertstate": ("pending", "firing"), "severity": None}}
# A value or two of those labels that may have any.
LABEL_VALUES = {"rpc": ["Send"], "coroutine": ["averager"], "reason": ["RATE_LIMITED", "JOURNAL_UNAVAILABLE"],
                "namespace": ["default"], "version": ["1.0.0"], "le": ["0.1", "1", "+Inf"]}
# What Grafana puts in for its variables.
GRAFANA = {"$__rate_interval": "5m", "$__interval": "1m", "$instance": ".*", "$namespace": ".*"}


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def rules():
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


class Dashboards:
    """Every dashboard, its panels (those in rows that are folded included) and its expressions."""

    def __init__(self):
        self.files = {}
        for path in glob.glob(os.path.join(OBSERVE, "grafana", "dashboards", "*.json")):
            with open(path, encoding="utf-8") as file:
                self.files[path] = json.load(file)

    @staticmethod
    def panels(dashboard):
        for panel in dashboard["panels"]:
            yield panel
            yield from panel.get("panels", [])

    def expressions(self):
        """(where, expression), with Grafana's variables put in."""
        for dashboard in self.files.values():
            for panel in self.panels(dashboard):
                for target in panel.get("targets", []):
                    yield f"panel {panel['title']!r}", self._put_in(target["expr"])
            for annotation in dashboard["annotations"]["list"]:
                yield f"annotation {annotation['name']!r}", self._put_in(annotation["expr"])
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    what = re.fullmatch(r"label_values\((.*), ([a-z_]+)\)", variable["query"]["query"])
                    # As if it were an expression that groups by the label.
                    yield f"variable {variable['name']!r}", f"count by ({what[2]}) ({self._put_in(what[1])})"

    @staticmethod
    def _put_in(expression):
        for variable, value in GRAFANA.items():
            expression = expression.replace(variable, value)
        if "$" in expression:
            raise AssertionError(f"a variable that nobody sets in {expression!r}")
        return expression


class RulesTest(unittest.TestCase):
    def test_promtool_reads_the_configuration(self):
        said = run("promtool", "check", "config", os.path.join(OBSERVE, "prometheus.yml"))
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        self.assertIn(f"SUCCESS: {len(rules())} rules found", said.stdout)

    def test_alerts_fire_when_they_should(self):
        said = run("promtool", "test", "rules", UNIT_TESTS)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)
        self.assertIn("SUCCESS", said.stdout)

    def test_each_alert_is_seen_to_fire_and_not_to_fire(self):
        expected = {True: set(), False: set()}
        for case in load(UNIT_TESTS)["tests"]:
            for check in case["alert_rule_test"]:
                expected[bool(check["exp_alerts"])].add(check["alertname"])
        for fires in expected:
            self.assertEqual({alert["alert"] for alert in alerts()}, expected[fires], f"fires: {fires}")

    def test_an_alert_that_is_changed_fails_its_test(self):
        """That the unit tests look at all: without its `for` each alert fires too early for one of them."""
        changed = load(RULES)
        for group in changed["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "alerts.yml"), "w", encoding="utf-8") as file:
                yaml.safe_dump(changed, file)
            tests = load(UNIT_TESTS)
            tests["rule_files"] = ["alerts.yml"]
            path = os.path.join(directory, "tests.yml")
            with open(path, "w", encoding="utf-8") as file:
                yaml.safe_dump(tests, file)
            said = run("promtool", "test", "rules", path)
            self.assertNotEqual(said.returncode, 0)
            failed = set(re.findall(r"alertname: ?(\w+)", said.stdout + said.stderr))
        self.assertEqual({alert["alert"] for alert in alerts() if "for" in alert}, failed)

    def test_each_alert_says_what_to_do(self):
        for alert in alerts():
            with self.subTest(alert["alert"]):
                annotations = alert["annotations"]
                self.assertEqual({"summary", "description", "runbook"}, set(annotations))
                self.assertEqual(annotations["runbook"], f"docs/operations.md#alert-{alert['alert'].lower()}")
                self.assertIn(alert["labels"]["severity"], ("warning", "critical"))

    @unittest.skipUnless(os.path.exists(OPERATIONS), "there is no docs/operations.md")
    def test_each_runbook_is_there(self):
        with open(OPERATIONS, encoding="utf-8") as file:
            headings = {line.lstrip("#").strip().lower().replace(" ", "-") for line in file if line.startswith("#")}
        for alert in alerts():
            self.assertIn(f"alert-{alert['alert'].lower()}", headings)

    def test_the_memory_limit_is_that_of_the_container(self):
        compose = load(os.path.join(TOP, "docker", "compose.yaml"))["services"]["corod"]
        gibibytes = re.fullmatch(r"\$\{COROD_MEMORY:-(\d+)g\}", compose["mem_limit"])[1]
        limit = next(rule["expr"] for rule in rules() if rule.get("record") == "corod:memory_limit_bytes")
        self.assertEqual(limit, f"vector({int(gibibytes) << 30})")

    def test_prometheus_asks_where_the_server_listens(self):
        job = load(os.path.join(OBSERVE, "prometheus.yml"))["scrape_configs"][0]
        self.assertEqual(job["static_configs"][0]["targets"], ["corod:9117"])
        for name in "compose.yaml", "compose.secure.yaml":
            command = " ".join(load(os.path.join(TOP, "docker", name))["services"]["corod"]["command"])
            self.assertRegex(command, r"--metrics[ =]0\.0\.0\.0:9117\b", name)


class NamesTest(unittest.TestCase):
    def setUp(self):
        self.known = {**metric_names.samples(metric_names.read()), **PROMETHEUS_OWN,
                      **{rule["record"]: {} for rule in rules() if "record" in rule}}
        self.used = [*((f"alert {alert['alert']}", alert["expr"]) for alert in alerts()), *Dashboards().expressions()]

    def wrong(self, expression):
        """What an expression names that there is not; empty if all is there."""
        use = promql.names(expression)
        labels = set(SCRAPED)
        for metric, matchers in use.selectors:
            if metric not in self.known:
                return f"there is no metric {metric}"
            mine = {**SCRAPED, **self.known[metric]}
            labels |= set(mine)
            for label, operator, value in matchers:
                if label not in mine:
                    return f"{metric} has no label {label}"
                for one in value.split("|") if operator in ("=~", "!~") else [value]:
                    if mine[label] is not None and re.escape(one) == one and one not in mine[label]:
                        return f"{label} of {metric} is never {one}"
        strangers = use.grouped - labels
        return f"no metric of it has the labels {sorted(strangers)}" if strangers else ""

    def test_everything_that_is_asked_for_is_there(self):
        self.assertGreater(len(self.used), 50)
        for where, expression in self.used:
            self.assertEqual(self.wrong(expression), "", f"{where}: {expression}")

    def test_what_is_not_there_is_found(self):
        for expression, complaint in {
                "rate(corod_comands_total[5m])": "there is no metric corod_comands_total",
                'corod_sessions{kin="live"}': "corod_sessions has no label kin",
                'corod_sessions{kind="dead"}': "kind of corod_sessions is never dead",
                'corod_sessions{kind=~"live|dead"}': "kind of corod_sessions is never dead",
                "sum by (rcp) (rate(corod_command_seconds_count[5m]))": "no metric of it has the labels ['rcp']",
                "corod_command_seconds": "there is no metric corod_command_seconds",
                "up + on (instance) group_left () corod_frame": "there is no metric corod_frame"}.items():
            self.assertEqual(self.wrong(expression), complaint, expression)

    def test_every_metric_is_looked_at(self):
        """A number that nobody sees is not worth counting."""
        seen = {metric for _, expression in self.used for metric, _ in promql.names(expression).selectors}
        for metric in metric_names.read().values():
            self.assertTrue(seen & set(metric.samples()), metric.name)

    def test_reasons_are_the_servers(self):
        with open(os.path.join(TOP, "server", "base", "failure.h"), encoding="utf-8") as file:
            reasons = set(re.findall(r"X\(([A-Z_]+), k", file.read()))
        self.assertIn("JOURNAL_UNAVAILABLE", reasons)
        for where, expression in self.used:
            for metric, matchers in promql.names(expression).selectors:
                for label, _, value in matchers:
                    if label == "reason":
                        self.assertLessEqual(set(value.split("|")), reasons, f"{where}: {metric}")

    def test_every_expression_parses(self):
        groups = [{"name": "all", "rules": [{"record": f"expression:{number}", "expr": expression}
                                            for number, (_, expression) in enumerate(self.used)]}]
        self.assert_promtool(groups, 0, f"SUCCESS: {len(self.used)} rules found")
        groups[0]["rules"][0]["expr"] = "sum by (rpc (corod_frames)"
        self.assert_promtool(groups, 1, "could not parse expression")

    def assert_promtool(self, groups, status, words):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump({"groups": groups}, file)
            file.flush()
            said = run("promtool", "check", "rules", file.name)
        self.assertEqual((said.returncode, words in said.stdout + said.stderr), (status, True), said.stdout + said.stderr)


class QueryTest(unittest.TestCase):
    """Every expression, asked of a Prometheus that has ten minutes of every metric."""
    NOW = 1_700_000_000
    STEP = 15

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        text, data = os.path.join(directory.name, "metrics"), os.path.join(directory.name, "data")
        with open(text, "w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in cls.lines())
        said = run("promtool", "tsdb", "create-blocks-from", "openmetrics", text, data)
        if said.returncode != 0:
            raise AssertionError(said.stdout + said.stderr)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            cls.address = "127.0.0.1:%d" % listener.getsockname()[1]
        configuration = os.path.join(directory.name, "prometheus.yml")
        with open(configuration, "w", encoding="ascii") as file:
            file.write("scrape_configs: []\n")
        log = open(os.path.join(directory.name, "log"), "w+b")  # pylint: disable=consider-using-with
        cls.addClassCleanup(log.close)
        prometheus = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "prometheus", f"--config.file={configuration}",
                                       f"--storage.tsdb.path={data}", "--storage.tsdb.retention.time=100y",
                                       f"--web.listen-address={cls.address}"],
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        cls.addClassCleanup(prometheus.wait)
        cls.addClassCleanup(prometheus.kill)
        deadline = time.monotonic() + 60
        while not cls.is_ready():
            if prometheus.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise AssertionError(log.read().decode())
            threading.Event().wait(0.1)

    @classmethod
    def is_ready(cls):
        try:
            with urllib.request.urlopen(f"http://{cls.address}/-/ready", timeout=60):
                return True
        except OSError:
            return False

    @classmethod
    def lines(cls):
        """OpenMetrics: each metric with every value that its labels may have, and all of them growing."""
        known = metric_names.samples(metric_names.read())
        known.update({"up": {}, **{rule["record"]: {} for rule in rules() if "record" in rule}})
        for name, labels in known.items():
            values = {"instance": ["corod:9117"], "job": ["corod"],
                      **{label: list(some or LABEL_VALUES[label]) for label, some in labels.items()}}
            for one in itertools.product(*values.values()):
                words = ",".join(f'{label}="{value}"' for label, value in zip(values, one))
                for at in range(0, 601, cls.STEP):
                    yield f"{name}{{{words}}} {at + 1} {cls.NOW - 600 + at}"
        yield "# EOF"

    def ask(self, expression):
        """What Prometheus answers: a list of series, or one number."""
        words = urllib.parse.urlencode({"query": expression, "time": self.NOW})
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/query?{words}", timeout=60) as reply:
                return json.load(reply)["data"]["result"]
        except urllib.error.HTTPError as refusal:
            with refusal:
                self.fail(f"{expression}: {refusal.read().decode()}")

    def test_every_panel_shows_something(self):
        for where, expression in Dashboards().expressions():
            if where.startswith("panel"):
                self.assertTrue(self.ask(expression), f"{where}: {expression}")

    def test_every_other_expression_can_be_evaluated(self):
        for where, expression in [*((alert["alert"], alert["expr"]) for alert in alerts()), *Dashboards().expressions()]:
            self.assertIsInstance(self.ask(expression), list, where)

    def test_a_panel_without_data_is_found(self):
        self.assertEqual(self.ask('sum by (rpc) (corod_streams{rpc="Send"})'), [])
        with self.assertRaisesRegex(AssertionError, "many-to-many"):
            self.ask("corod_sessions + ignoring (kind) corod_sessions")


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.dashboards = Dashboards()
        self.assertTrue(self.dashboards.files)

    def test_panels(self):
        for path, dashboard in self.dashboards.files.items():
            panels = list(self.dashboards.panels(dashboard))
            ids = [panel["id"] for panel in panels]
            self.assertEqual(len(ids), len(set(ids)), path)
            taken = set()
            for panel in panels:
                with self.subTest(panel["title"]):
                    place = panel["gridPos"]
                    self.assertLessEqual(place["x"] + place["w"], 24)
                    cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                             for y in range(place["y"], place["y"] + place["h"])}
                    self.assertFalse(cells & taken, "it lies over another panel")
                    taken |= cells
                    if panel["type"] == "row":
                        continue
                    self.assertTrue(panel["description"].strip())
                    self.assertTrue(panel["targets"])
                    for target in panel["targets"]:
                        self.assertTrue(target["expr"].strip())
                        self.assertEqual(target["datasource"], {"type": "prometheus", "uid": "${datasource}"})
                    refs = [target["refId"] for target in panel["targets"]]
                    self.assertEqual(len(refs), len(set(refs)))

    def test_one_server_can_be_chosen(self):
        for path, dashboard in self.dashboards.files.items():
            self.assertIn("instance", [variable["name"] for variable in dashboard["templating"]["list"]], path)
            for panel in self.dashboards.panels(dashboard):
                for target in panel.get("targets", []):
                    if "corod:" not in target["expr"]:
                        self.assertIn('instance=~"$instance"', target["expr"], panel["title"])

    def test_grafana_is_given_what_the_dashboard_names(self):
        provisioning = os.path.join(OBSERVE, "grafana", "provisioning")
        sources = load(os.path.join(provisioning, "datasources", "prometheus.yml"))["datasources"]
        folder = load(os.path.join(provisioning, "dashboards", "corod.yml"))["providers"][0]["options"]["path"]
        grafana = load(os.path.join(TOP, "docker", "compose.observe.yaml"))["services"]["grafana"]
        self.assertIn(f"./observe/grafana/dashboards:{folder}:ro", grafana["volumes"])
        self.assertIn("./observe/grafana/provisioning:/etc/grafana/provisioning:ro", grafana["volumes"])
        home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertEqual(os.path.dirname(home), folder)
        self.assertIn(os.path.basename(home), [os.path.basename(path) for path in self.dashboards.files])
        for dashboard in self.dashboards.files.values():
            source = next(v for v in dashboard["templating"]["list"] if v["name"] == "datasource")
            self.assertIn(source["current"]["value"], [one["uid"] for one in sources])


if __name__ == "__main__":
    unittest.main()
