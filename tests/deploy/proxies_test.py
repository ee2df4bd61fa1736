#!/usr/bin/python3
"""Runs deploy/nginx and deploy/haproxy before two replicas, and takes replicas away while calls are under way.

Usage: proxies_test.py HEED_SERVER HEED. The configurations are run as they are but for names and ports, the servers with
the settings of deploy/compose.yaml.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import support
from support import DEPLOY, Bench, Heed, Process, free_port, get, tool, wait_until

SERVER, HEED = sys.argv[1:3]
LINES = 120
HOSTS = ("127.0.0.1", "127.0.0.2")  # heed-1 and heed-2, which have the same ports


def settings(**changed):
    """The environment that compose.yaml gives its servers."""
    return {**{name: str(value) for name, value in support.compose()["x-heed"]["environment"].items()}, **changed}


def nginx(configuration, folder):
    # In its image it is no root; here its workers may be, for the folder is root's.
    more = "daemon off; user root;" if os.getuid() == 0 else "daemon off;"
    return [tool("nginx"), "-c", configuration, "-p", folder, "-g", more]


class Replicas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.models = cls.enterClassContext(support.models_folder())
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.running = cls.enterClassContext(support.ending([]))
        cls.replica_port, cls.metrics_port = free_port(), free_port()
        cls.replicas = [None, None]
        for index in range(2):
            cls.start_replica(index)
        cls.port = free_port()
        cls.start_proxy()
        wait_until("the proxy passes calls", lambda: cls.heed("health").returncode == 0)

    @classmethod
    def start_replica(cls, index):
        cls.replicas[index] = Heed(SERVER, cls.models, ["--workers=1"], cls.settings(), HOSTS[index],
                                   cls.replica_port, cls.metrics_port)
        cls.running.append(cls.replicas[index])

    @classmethod
    def configuration_here(cls, path):
        """A configuration of deploy/ with the names and ports of this test, in a file."""
        text = (DEPLOY / path).read_text(encoding="utf-8")
        for index, host in enumerate(HOSTS):
            text = text.replace(f"heed-{index + 1}:8500", f"{host}:{cls.replica_port}")
        text = text.replace("port 9500", f"port {cls.metrics_port}").replace("bind :8080", f"bind 127.0.0.1:{cls.port}")
        text = text.replace("listen 8080", f"listen 127.0.0.1:{cls.port}").replace(" /tmp/", f" {cls.folder}/")
        (here := cls.folder / pathlib.Path(path).name).write_text(text, encoding="utf-8")
        return here

    @classmethod
    def heed(cls, *arguments, **more):
        return subprocess.run([HEED, arguments[0], f"--address=127.0.0.1:{cls.port}", *arguments[1:]], capture_output=True,
                              text=True, timeout=60, **more)

    def bench(self, *flags):
        bench = Bench(HEED, self.port, *flags)
        self.addCleanup(bench.__exit__)
        return bench

    def under_way(self, index):
        """Waits until calls are being decoded by a replica."""
        replica = self.replicas[index]
        wait_until(f"calls at replica {index}", lambda: replica.metric("heed_requests_in_flight") >= 2)

    def check_no_call_is_lost(self, index, number, *load):
        """Ends a replica under a load of unary calls that are not tried again by who makes them."""
        bench = self.bench("--length=60", *load)
        self.under_way(index)
        self.replicas[index].signal(number)
        report = bench.report()
        self.assertEqual(({"OK": report["sent"]}, ""), (report["codes"], report["first_error"]))
        self.assertGreater(report["sent"], 100)
        return self.replicas[index].wait()

    def check_both_replicas_have_calls(self):
        def shared_out():
            before = [replica.metric("heed_requests_total") for replica in self.replicas]
            self.bench("--requests=20", "--concurrency=1", "--connections=1").report()
            after = [replica.metric("heed_requests_total") for replica in self.replicas]
            return min(b - a for a, b in zip(before, after)) >= 5
        # One that has just come back may be left out a little longer (fail_timeout).
        wait_until("one connection's calls are shared out", shared_out, seconds=20)

    def check_a_large_message(self, megabytes, words):
        """It is the server that says what is too large."""
        run = self.heed("translate", f"--model={support.MODELS[0]}", "--whole", "--retries=0", input="a" * (megabytes << 20))
        self.assertIn(words, run.stderr[:300])

    def check_streams(self):
        report = self.bench("--requests=10", "--concurrency=1", "--mix=stream_translate=1", "--length=500").report()
        self.assertEqual({"OK": 10}, report["codes"])
        self.assertLess(report["first_token"]["p50_ms"], 0.7 * report["latency"]["p50_ms"], "tokens come as they are decoded")


class Haproxy(Replicas):
    FASTER = 4  # than the times of deploy/, the server's and haproxy's alike

    @classmethod
    def settings(cls):
        delay = float(re.fullmatch(r"(\d+)s", settings()["HEED_SHUTDOWN_DELAY"])[1])
        return settings(HEED_PROXY_PROTOCOL_FROM="127.0.0.1", HEED_SHUTDOWN_DELAY=f"{delay * 1000 / cls.FASTER:.0f}ms")

    @classmethod
    def start_proxy(cls):
        cls.configuration, cls.state_port = cls.configuration_here("haproxy/haproxy.cfg"), free_port()
        text = cls.configuration.read_text(encoding="utf-8")
        faster = re.sub(r"inter (\d+)s", lambda found: f"inter {int(found[1]) * 1000 // cls.FASTER}ms", text)
        cls.configuration.write_text(faster, encoding="utf-8")
        (state := cls.folder / "state.cfg").write_text(
            f"frontend state\n  bind 127.0.0.1:{cls.state_port}\n  stats enable\n  stats uri /\n", encoding="utf-8")
        cls.running.append(Process([tool("haproxy"), "-db", "-f", cls.configuration, "-f", state]))

    def is_up(self, index):
        _, table = get(f"http://127.0.0.1:{self.state_port}/;csv")
        return re.search(rf"^heed,heed-{index + 1},(?:[^,]*,){{15}}UP,", table, re.M) is not None

    def test_the_configuration_has_no_fault(self):
        run = subprocess.run([tool("haproxy"), "-c", "-f", self.configuration], capture_output=True, text=True, timeout=60)
        self.assertEqual((0, ""), (run.returncode, re.sub("Configuration file is valid\n", "", run.stdout + run.stderr)))

    def test_a_killed_replica_and_one_that_stops_lose_no_unary_call(self):
        self.assertEqual(-signal.SIGKILL, self.check_no_call_is_lost(0, signal.SIGKILL, "--requests=300", "--concurrency=8"))
        self.start_replica(0)
        wait_until("the replica that came back is used", lambda: self.is_up(0))
        # For longer than the replica serves on.
        self.assertEqual(0, self.check_no_call_is_lost(1, signal.SIGTERM, "--duration=2500ms", "--concurrency=8"))
        self.start_replica(1)
        wait_until("the replica that came back is used", lambda: self.is_up(1))

    def test_calls_of_one_connection_are_shared_out(self):
        self.check_both_replicas_have_calls()

    def test_large_messages_go_through(self):
        # Of one over --max_message_bytes haproxy ends the call (CANCELLED): the server has answered before all of it came.
        self.check_a_large_message(3, "OUT_OF_RANGE: the text has 3145728 bytes")

    def test_streams_come_as_they_are_decoded(self):
        self.check_streams()

    def test_the_servers_hear_of_clients_from_haproxy_alone(self):
        direct = subprocess.run([HEED, "health", f"--address={HOSTS[0]}:{self.replica_port}", "--timeout=2s"],
                                capture_output=True, text=True, timeout=60)
        self.assertNotEqual(0, direct.returncode, "a connection without a PROXY header is refused")
        self.assertGreater(self.replicas[0].metric("heed_connection_faults_total"), 0)


class Nginx(Replicas):
    @classmethod
    def settings(cls):
        return settings(HEED_PROXY_PROTOCOL_FROM="", HEED_SHUTDOWN_DELAY="0")  # nginx would see nothing of it

    @classmethod
    def start_proxy(cls):
        cls.configuration = cls.configuration_here("nginx/nginx.conf")
        cls.running.append(Process(nginx(cls.configuration, cls.folder)))

    def test_the_configuration_has_no_fault(self):
        run = subprocess.run([*nginx(self.configuration, self.folder), "-t", "-q"], capture_output=True, text=True,
                             timeout=60)
        # It says so too where this shell may open fewer files than worker_connections: that is the shell's.
        said = [line for line in (run.stdout + run.stderr).splitlines() if "exceed open file resource limit" not in line]
        self.assertEqual((0, []), (run.returncode, said))

    def check_every_line_is_answered(self, index, number):
        """What nginx cannot try again, `heed` does, which every client of heed should."""
        lines = "".join(f"{text}\n" for text in support.TEXTS[:3] * (LINES // 3))
        with subprocess.Popen([HEED, "translate", f"--address=127.0.0.1:{self.port}", f"--model={support.MODELS[0]}",
                               "--batch_size=1", "--in_flight=8", "--beam_size=8", "--retries=10"], text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as translate:
            feeder = support.threading.Thread(target=lambda: (translate.stdin.write(lines), translate.stdin.close()))
            feeder.start()
            self.under_way(index)
            self.replicas[index].signal(number)
            output, errors = translate.stdout.read(), translate.stderr.read()
            feeder.join()
        self.assertEqual((0, ""), (translate.returncode, errors))
        self.assertEqual(LINES, len([line for line in output.splitlines() if line]))
        return self.replicas[index].wait()

    def test_a_killed_replica_and_one_that_stops_lose_no_unary_call(self):
        self.assertEqual(-signal.SIGKILL, self.check_no_call_is_lost(0, signal.SIGKILL, "--requests=300", "--concurrency=8"))
        self.start_replica(0)
        self.check_both_replicas_have_calls()
        self.assertEqual(0, self.check_every_line_is_answered(1, signal.SIGTERM))
        self.start_replica(1)

    def test_calls_of_one_connection_are_shared_out(self):
        self.check_both_replicas_have_calls()

    def test_large_messages_go_through(self):
        self.check_a_large_message(3, "OUT_OF_RANGE: the text has 3145728 bytes")
        self.check_a_large_message(5, "RESOURCE_EXHAUSTED")

    def test_streams_come_as_they_are_decoded(self):
        self.check_streams()


class NobodyThere(unittest.TestCase):
    def test_nginx_says_unavailable_as_grpc_does(self):
        with tempfile.TemporaryDirectory() as folder:
            text = (DEPLOY / "nginx/nginx.conf").read_text(encoding="utf-8")
            port, nobody = free_port(), free_port()
            text = re.sub(r"heed-\d:8500", f"127.0.0.1:{nobody}", text)
            text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace(" /tmp/", f" {folder}/")
            (configuration := pathlib.Path(folder) / "nginx.conf").write_text(text, encoding="utf-8")
            with Process(nginx(configuration, folder)) as proxy:
                proxy.wait_for("nginx listens", lambda: support.listens("127.0.0.1", port))
                run = subprocess.run([HEED, "models", f"--address=127.0.0.1:{port}", "--retries=0"], capture_output=True,
                                     text=True, timeout=60)
        self.assertEqual(5, run.returncode)
        self.assertIn("UNAVAILABLE: no replica answered", run.stderr)


del Replicas  # has no tests of its own

if __name__ == "__main__":
    for name in ("nginx", "haproxy"):
        tool(name)
    unittest.main(argv=sys.argv[:1])
