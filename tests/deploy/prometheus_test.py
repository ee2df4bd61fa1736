#!/usr/bin/python3
"""Holds deploy/prometheus and deploy/grafana to what a real Prometheus says that scrapes a loaded server.

Usage: prometheus_test.py HEED_SERVER HEED. The rules' own cases are promtool's. The server has the memory that
deploy/kubernetes gives it, and small bounds besides, so that each kind of refusal occurs.
"""
import concurrent.futures
import contextlib
import math
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import unittest

import dashboard
import support
import yaml
from support import DEPLOY, Bench, Heed, Process, free_port, get, tool, wait_until

SERVER, HEED = sys.argv[1:3]
RULES, CASES = DEPLOY / "prometheus/heed-rules.yml", DEPLOY / "prometheus/heed-rules_test.yml"
SCRAPES, RATES = "200ms", "2s"


def promtool(*arguments):
    run = subprocess.run([tool("promtool"), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


class Rules(unittest.TestCase):
    def test_promtool_finds_nothing(self):
        code, said = promtool("check", "config", DEPLOY / "prometheus/prometheus.yml")
        self.assertEqual(0, code, said)
        self.assertIn(f"{len(alerts())} rules found", said)
        code, said = promtool("test", "rules", CASES)
        self.assertEqual(0, code, said)

    def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(self):
        cases = [case for test in yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
                 for case in test["alert_rule_test"]]
        for alert in alerts():
            with self.subTest(alert=alert["alert"]):
                found = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == alert["alert"]}
                self.assertEqual({True, False}, found)
                self.assertIn(alert["labels"]["severity"], ("page", "ticket"))

    def test_a_rule_with_another_bound_fails_its_cases(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            text = RULES.read_text(encoding="utf-8")
            bounds = list(re.finditer(r"> ?(?:on \(job, instance\) )?([\d.]+)(?= \*|$)", text, re.M))
            self.assertGreater(len(bounds), 8)

            def passes(bound):
                changed = f"{text[:bound.start(1)]}{float(bound[1]) * 3 + 20}{text[bound.end(1):]}"
                (own := copy / str(bound.start())).mkdir()
                (own / RULES.name).write_text(changed, encoding="utf-8")
                (own / CASES.name).write_text(CASES.read_text(encoding="utf-8"), encoding="utf-8")
                return promtool("test", "rules", own / CASES.name)[0] == 0
            with concurrent.futures.ThreadPoolExecutor(4) as workers:
                passed = [bound[0] for bound, ok in zip(bounds, workers.map(passes, bounds)) if ok]
            self.assertEqual([], passed, "bounds that may be as much as one likes")


def container_flags():
    """What the server makes of deploy/kubernetes' limits, on a machine that does not set them."""
    deployment = yaml.safe_load((DEPLOY / "kubernetes/base/deployment.yaml").read_text(encoding="utf-8"))
    limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    memory = int(re.fullmatch(r"(\d+)Gi", limits["memory"])[1]) << 30
    return [f"--max_memory={memory * 15 // 16}", f"--workers={limits['cpu']}"]


class Scraped(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        models = cls.enterClassContext(support.models_folder())
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.server = cls.enterClassContext(Heed(SERVER, models, [
            *container_flags(), "--max_concurrent_requests=4", "--max_message_bytes=16384", "--max_text_bytes=16000"]))
        port = free_port()
        cls.prometheus = f"http://127.0.0.1:{port}"
        cls.process = cls.enterClassContext(Process(
            [tool("prometheus"), f"--config.file={cls.configuration()}", f"--storage.tsdb.path={cls.folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage"]))
        cls.process.wait_for("Prometheus answers", lambda: get(f"{cls.prometheus}/-/ready")[0] == 200)

    @classmethod
    def configuration(cls):
        """prometheus.yml with the server of this test for a target, and other times."""
        configuration = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
        configuration["global"] = {"scrape_interval": SCRAPES, "scrape_timeout": SCRAPES, "evaluation_interval": SCRAPES}
        configuration["rule_files"] = [str(RULES)]
        (job,) = configuration["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{cls.server.metrics_port}"]}]
        (path := cls.folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        return path

    def go_wrong(self):
        """What clients do wrong, once each: an unknown model, a message that is too large, and no HTTP/2."""
        address = f"--address=127.0.0.1:{self.server.port}"
        for arguments, text in ((["translate", address, "--model=nobody"], "가"), (["translate", address], "가 " * 8000)):
            run = subprocess.run([HEED, *arguments], input=text, capture_output=True, text=True, timeout=60)
            self.assertNotEqual(0, run.returncode)
        with socket.create_connection(("127.0.0.1", self.server.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 64)
            with contextlib.suppress(OSError):
                stranger.recv(4096)

    def query(self, expression):
        return dashboard.ask(self.prometheus, "query", query=expression)["result"]

    def test_each_query_of_the_dashboard_gives_data_and_each_rule_is_evaluated(self):
        bench = Bench(HEED, self.server.port, "--duration=60s", "--concurrency=8", "--connections=2",
                      "--mix=translate=0.4,summarize=0.2,stream_translate=0.2,stream_summarize=0.2")
        self.addCleanup(bench.__exit__)
        missing = {target["expr"]: panel["title"] for panel in dashboard.panels(dashboard.load())
                   for target in panel["targets"]}
        self.assertGreater(len(missing), 40)

        def all_have_data():
            self.go_wrong()
            for expression in list(missing):
                values = [sample["value"][1] for sample in self.query(dashboard.filled_in(expression, RATES))]
                if values and not any(math.isnan(float(value)) for value in values):
                    del missing[expression]
            return not missing
        with contextlib.suppress(AssertionError):
            wait_until("each query gave data", all_have_data, seconds=40)
        self.assertEqual({}, missing, "queries without data, by panel")
        self.check_variables()
        self.check_rules()
        bench.signal(2)
        codes = bench.report()["codes"]
        self.assertLessEqual(set(codes), {"OK", "RESOURCE_EXHAUSTED", "CANCELLED"})

    def check_variables(self):
        for variable in dashboard.load()["templating"]["list"]:
            if variable["type"] != "query":
                continue
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            self.assertTrue(dashboard.ask(self.prometheus, f"label/{label}/values", **{"match[]": selector}), variable["name"])

    def check_rules(self):
        """Each is evaluated without an error, and asks for metrics that there are, by labels that those have."""
        def evaluated():
            groups = dashboard.ask(self.prometheus, "rules")["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            return rules if all(rule["health"] != "unknown" for rule in rules) else None
        rules = wait_until("the rules are evaluated", evaluated)
        self.assertEqual(len(alerts()), len(rules))
        self.assertEqual([], [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"])
        for rule in alerts():
            for metric, selector in re.findall(r"\b((?:heed|process)_\w+|up)\b(?:\{([^}]*)\})?", rule["expr"]):
                labels = set(re.findall(r"(\w+)(?:=~?|!=)", selector))
                series = self.query(metric)
                self.assertTrue(series, f"{rule['alert']}: {metric}")
                self.assertLessEqual(labels, set(series[0]["metric"]), f"{rule['alert']}: {metric}")

    def test_promtool_finds_nothing_in_what_is_scraped(self):
        _, text = get(f"http://127.0.0.1:{self.server.metrics_port}/metrics")
        run = subprocess.run([tool("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual((0, ""), (run.returncode, run.stdout + run.stderr))


if __name__ == "__main__":
    for name in ("promtool", "prometheus"):
        tool(name)
    unittest.main(argv=sys.argv[:1])
