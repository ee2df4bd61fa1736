#!/usr/bin/python3
"""Holds the numbers in deploy/ to one another, to the flags' defaults and to docs/container.md, each read where it stands."""
import ipaddress
import pathlib
import re
import shutil
import subprocess
import unittest

import yaml
from dashboard import load, panels
from support import DEPLOY, ROOT, compose

KUBERNETES = DEPLOY / "kubernetes"
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "Mi": 1 << 20, "Gi": 1 << 30}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def seconds(text):
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    assert "".join(map("".join, parts)) == text or text == "0", f"no duration: {text}"
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def size(text):
    number, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    return int(number) * SIZES[unit]


def one(pattern, text):
    """What the pattern's group is, which must be the same wherever it matches."""
    found = set(re.findall(pattern, text, re.M))
    assert len(found) == 1, f"{pattern}: {found}"
    return found.pop()


DEFAULTS = dict(re.findall(r"^\| `--(\w+)` \| [^|]+ \| `?([^|`]*)`? \|", read("docs/flags.md"), re.M))


class Settings:
    """A server's settings: what a deployment sets, else the flag's default."""

    def __init__(self, variables):
        self.variables = {name: str(value) for name, value in variables.items()}

    def __getitem__(self, flag):
        return self.variables.get(f"HEED_{flag.upper()}", DEFAULTS[flag])

    def seconds(self, flag):
        return seconds(self[flag])


def kubernetes_settings():
    lines = (KUBERNETES / "base/heed.env").read_text(encoding="utf-8").splitlines()
    return Settings(dict(line.split("=", 1) for line in lines if line and not line.startswith("#")))


def compose_settings():
    return Settings(compose()["x-heed"]["environment"])


def pod():
    return yaml.safe_load((KUBERNETES / "base/deployment.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]


def container():
    (only,) = pod()["containers"]
    return only


class Server(unittest.TestCase):
    def test_each_setting_is_a_flag(self):
        self.assertGreater(len(DEFAULTS), 50)
        for where in (kubernetes_settings(), compose_settings(),
                      Settings(dict(re.findall(r"name: (HEED_\w+), value: (\S+)}", read(
                          "deploy/kubernetes/components/tls/kustomization.yaml"))))):
            self.assertTrue(where.variables)
            self.assertLessEqual({name.removeprefix("HEED_").lower() for name in where.variables}, set(DEFAULTS))

    def test_what_stops_a_server_waits_until_it_has_drained(self):
        # After the drain time what is left is answered, which takes a while of its own.
        answers = seconds(one(r"answered UNAVAILABLE \(which takes (\d+) s more", read("docs/flags.md")) + "s")
        for settings, grace in ((kubernetes_settings(), pod()["terminationGracePeriodSeconds"]),
                                (compose_settings(), seconds(compose()["x-heed"]["stop_grace_period"]))):
            self.assertGreaterEqual(grace, settings.seconds("shutdown_delay") + settings.seconds("drain_time") + answers)
            self.assertGreater(settings.seconds("shutdown_delay"), 0)

    def test_memory_is_what_the_documentation_says_suffices(self):
        needed = int(one(r"A container of (\d+) GiB with them needs no flag", read("docs/container.md"))) << 30
        resources = container()["resources"]
        self.assertEqual(needed, size(resources["limits"]["memory"]))
        self.assertEqual(needed, size(compose()["x-heed"]["mem_limit"]))
        self.assertEqual(resources["limits"], resources["requests"], "what it may take it takes under load")
        # A step thread for each core that the quota grants: a part of one would be a thread that is throttled.
        self.assertRegex(resources["limits"]["cpu"], r"^\d+$")
        self.assertEqual(int(resources["limits"]["cpu"]), compose()["x-heed"]["cpus"])
        share = one(r"Without the flag it is (\d+ of \d+)\b", read("docs/container.md"))
        self.assertEqual("15 of 16", share, "prometheus_test.py starts the server with that much")

    def test_it_is_the_image_that_the_dockerfile_makes(self):
        user, group = one(r"^USER (\d+:\d+)$", read("Dockerfile")).split(":")
        context = pod()["securityContext"]
        self.assertEqual((int(user), int(group)), (context["runAsUser"], context["runAsGroup"]))
        exposed = set(map(int, one(r"^EXPOSE (.*)$", read("Dockerfile")).split()))
        ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
        self.assertEqual(exposed, set(ports.values()))
        models = one(r"HEED_MODELS=(\S+)", read("Dockerfile"))
        self.assertIn(models, [mount["mountPath"] for mount in container()["volumeMounts"]])
        service = yaml.safe_load(read("deploy/kubernetes/base/service.yaml"))["spec"]
        self.assertEqual("None", service["clusterIP"])
        self.assertEqual(ports, {port["name"]: port["port"] for port in service["ports"]})
        kustomization = yaml.safe_load(read("deploy/kubernetes/base/kustomization.yaml"))
        version = one(r"^project\(heed VERSION (\S+)", read("CMakeLists.txt"))
        self.assertEqual([{"name": container()["image"], "newTag": version}], kustomization["images"])
        grpc, metrics = ports["grpc"], ports["metrics"]
        self.assertEqual([f"127.0.0.1:{grpc}:{grpc}"], compose()["services"]["heed"]["ports"])
        self.assertEqual(str(metrics), one(r"port: (\d+)$", read("deploy/prometheus/prometheus.yml")))
        self.assertEqual(str(metrics), one(r"http-check connect port (\d+)$", read("deploy/haproxy/haproxy.cfg")))
        for proxy in ("nginx/nginx.conf", "haproxy/haproxy.cfg"):
            self.assertEqual(str(grpc), one(r"heed-\d:(\d+)", read(f"deploy/{proxy}")))

    def test_it_has_no_rights_that_it_does_not_need(self):
        context, own = pod()["securityContext"], container()["securityContext"]
        self.assertEqual((True, {"type": "RuntimeDefault"}), (context["runAsNonRoot"], context["seccompProfile"]))
        self.assertEqual({"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                          "capabilities": {"drop": ["ALL"]}}, own)
        self.assertFalse(pod()["automountServiceAccountToken"])
        self.assertFalse(pod()["enableServiceLinks"], "HEED_PORT and the like are no settings")
        self.assertTrue(all(mount["readOnly"] for mount in container()["volumeMounts"]))
        for name, service in {"heed": compose()["x-heed"], **compose()["services"]}.items():
            self.assertEqual((["ALL"], ["no-new-privileges:true"]), (service["cap_drop"], service["security_opt"]), name)
            self.assertTrue(service.get("read_only") or name == "grafana", name)
            self.assertTrue(all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name)

    def test_probes_are_grpcs_where_connections_are_plain_text(self):
        self.assertEqual("(empty)", kubernetes_settings()["tls_cert"])
        grpc = {"port": 8500}
        self.assertEqual((grpc, grpc), (container()["startupProbe"]["grpc"], container()["readinessProbe"]["grpc"]))
        pages = set(re.findall(r"^\| `(/\w+)` \|", read("docs/metrics.md"), re.M))
        self.assertIn(container()["livenessProbe"]["httpGet"]["path"], pages)
        startup = container()["startupProbe"]
        self.assertGreaterEqual(startup["periodSeconds"] * startup["failureThreshold"], 300, "large models take a while")
        ready = container()["readinessProbe"]
        self.assertGreaterEqual(kubernetes_settings().seconds("shutdown_delay"),
                                ready["periodSeconds"] * ready["failureThreshold"])

    def test_selectors_find_the_pods(self):
        deployment = yaml.safe_load(read("deploy/kubernetes/base/deployment.yaml"))
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        budget = yaml.safe_load(read("deploy/kubernetes/base/poddisruptionbudget.yaml"))["spec"]
        self.assertEqual(labels, deployment["spec"]["selector"]["matchLabels"])
        self.assertEqual(labels, budget["selector"]["matchLabels"])
        self.assertEqual(labels, yaml.safe_load(read("deploy/kubernetes/base/service.yaml"))["spec"]["selector"])
        self.assertLess(budget["maxUnavailable"], deployment["spec"]["replicas"])

    def test_kustomize_makes_what_the_parts_say(self):
        if shutil.which("kubectl") is None:
            self.skipTest("there is no kubectl")

        def deployment(folder):
            text = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True).stdout
            return next(d for d in yaml.safe_load_all(text) if d["kind"] == "Deployment")["spec"]["template"]["spec"]
        self.assertIn("volumes", deployment(KUBERNETES / "base"))
        example = deployment(KUBERNETES / "example")
        self.assertNotIn("volumes", example, "the image's models")
        self.assertIn("grpc", example["containers"][0]["readinessProbe"])


class Proxies(unittest.TestCase):
    def setUp(self):
        self.nginx, self.haproxy = read("deploy/nginx/nginx.conf"), read("deploy/haproxy/haproxy.cfg")
        self.settings = compose_settings()

    def test_the_server_ends_a_call_before_its_proxy_gives_it_up(self):
        for settings in (self.settings, kubernetes_settings()):
            longest = settings.seconds("max_deadline")
            self.assertGreaterEqual(longest, settings.seconds("default_deadline"))
            for patience in (one(r"grpc_read_timeout (\w+);", self.nginx), one(r"timeout server (\w+)$", self.haproxy),
                             one(r"timeout client (\w+)$", self.haproxy)):
                # An answer may come a second after the deadline (docs/metrics.md, `deadline`).
                self.assertGreater(seconds(patience), longest + 1)

    def test_a_late_answer_is_not_asked_for_twice(self):
        self.assertNotIn("response-timeout", one(r"^  retry-on (.*)$", self.haproxy))
        self.assertLess(seconds(one(r"grpc_next_upstream_timeout (\w+);", self.nginx)),
                        seconds(one(r"grpc_read_timeout (\w+);", self.nginx)))

    def test_what_a_server_takes_goes_through(self):
        self.assertGreaterEqual(size(one(r"client_max_body_size (\w+);", self.nginx)), int(self.settings["max_message_bytes"]))
        self.assertEqual(self.settings.seconds("message_time"), seconds(one(r"client_body_timeout (\w+);", self.nginx)))
        self.assertEqual(self.settings.seconds("header_time"), seconds(one(r"timeout http-request (\w+)", self.haproxy)))
        self.assertEqual("0", self.settings["max_connections_per_address"], "nginx's connections have one address")

    def test_a_server_that_stops_is_seen_to_stop_before_it_refuses(self):
        interval, fall = re.search(r"check inter (\w+) fall (\d+)", self.haproxy).groups()
        self.assertGreater(self.settings.seconds("shutdown_delay"), seconds(interval) * (int(fall) + 1))

    def test_haproxy_alone_is_believed(self):
        address = compose()["services"]["haproxy"]["networks"]["default"]["ipv4_address"]
        (network,) = compose()["networks"]["default"]["ipam"]["config"]
        self.assertEqual(address, self.settings["proxy_protocol_from"])
        self.assertIn(ipaddress.ip_address(address), ipaddress.ip_network(network["subnet"]))
        self.assertIn("send-proxy-v2", self.haproxy)

    def test_their_servers_are_the_replicas_of_compose(self):
        services = compose()["services"]
        named = {alias for service in services.values() if isinstance(service.get("networks"), dict)
                 for alias in service["networks"]["default"].get("aliases", [])} | set(services)
        for text in (self.nginx, self.haproxy):
            self.assertEqual({"heed-1", "heed-2"}, set(re.findall(r"server (heed-\d)", text)))
            self.assertLessEqual(set(re.findall(r"(heed-\d):", text)), named)


class Monitoring(unittest.TestCase):
    def test_images_are_pinned_and_files_are_there(self):
        for name, service in compose()["services"].items():
            if not name.startswith("heed"):
                self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+$", name)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((DEPLOY / source).exists(), volume)
                    self.assertTrue(volume.endswith(":ro"), volume)
                else:
                    self.assertIn(source, compose()["volumes"])

    def test_grafana_finds_its_data_and_its_dashboard(self):
        grafana = compose()["services"]["grafana"]
        mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
        (source,) = yaml.safe_load(read("deploy/grafana/provisioning/datasources/prometheus.yaml"))["datasources"]
        scrape = yaml.safe_load(read("deploy/prometheus/prometheus.yml"))["global"]["scrape_interval"]
        self.assertEqual(scrape, source["jsonData"]["timeInterval"], "$__rate_interval is made from it")
        self.assertEqual("http://prometheus:9090", source["url"])
        (provider,) = yaml.safe_load(read("deploy/grafana/provisioning/dashboards/heed.yaml"))["providers"]
        self.assertEqual(mounts["./grafana/dashboards"], provider["options"]["path"])
        home = pathlib.PurePosixPath(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
        self.assertEqual(provider["options"]["path"], str(home.parent))
        self.assertTrue((DEPLOY / "grafana/dashboards" / home.name).exists())

    def test_panels_do_not_overlap_and_say_what_they_show(self):
        taken, ids = {}, set()
        for panel in load()["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"])
                         for y in range(place["y"], place["y"] + place["h"])):
                self.assertNotIn(cell, taken, f"{panel['title']} lies on {taken.get(cell)}")
                taken[cell] = panel["title"]
            self.assertNotIn(panel["id"], ids)
            ids.add(panel["id"])
        for panel in panels(load()):
            self.assertTrue(panel["description"], panel["title"])
            self.assertEqual(len(panel["targets"]), len({target["refId"] for target in panel["targets"]}))

    def test_what_is_asked_for_is_documented(self):
        documented = set(re.findall(r"^\| `((?:heed|process)_\w+)`", read("docs/metrics.md"), re.M))
        texts = [target["expr"] for panel in panels(load()) for target in panel["targets"]]
        texts += [rule["expr"] for group in yaml.safe_load(read("deploy/prometheus/heed-rules.yml"))["groups"]
                  for rule in group["rules"]]
        asked = {re.sub(r"_(bucket|sum|count)$", "", name)
                 for text in texts for name in re.findall(r"\b(?:heed|process)_\w+", text)}
        self.assertGreater(len(asked), 30)
        self.assertEqual(set(), asked - documented)


if __name__ == "__main__":
    unittest.main()
