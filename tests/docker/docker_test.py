#!/usr/bin/env python3
"""The image and docker/compose.yaml, in containers. test.sh says in the environment which engine and which image:
ENGINE_COMMAND, COMPOSE_COMMAND, IMAGE (NAME:TAG), BASE_IMAGE."""
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import metric_names

HERE = os.path.dirname(os.path.abspath(__file__))
DOCKER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docker")
ENGINE = os.environ["ENGINE_COMMAND"]
COMPOSE = os.environ["COMPOSE_COMMAND"].split()
IMAGE = os.environ["IMAGE"]
NAME, _, TAG = IMAGE.rpartition(":")
BASE_IMAGE = os.environ["BASE_IMAGE"]
MOST_BYTES_OVER_BASE = 60_000_000
# Far more than anything takes.
SECONDS = 120


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL, **options)


def must(*command, **options):
    """What it printed; it must end with 0."""
    said = run(*command, **options)
    if said.returncode != 0:
        raise AssertionError(f"{command}: status {said.returncode}\n{said.stdout}{said.stderr}")
    return said.stdout.strip()


def eventually(condition, what):
    """Asks until `condition` holds and returns what it returned."""
    pause = threading.Event()
    deadline = time.monotonic() + SECONDS
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {SECONDS} s: {what}")
        pause.wait(0.3)
    return result


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Project:
    """docker/'s compose files as a project of their own."""
    count = 0

    def __init__(self, *files, **environment):
        Project.count += 1
        self.name = f"corod-test-{os.getpid()}-{Project.count}"
        self.port = free_port()
        self._files = [word for file in files for word in ("-f", os.path.join(DOCKER, file))]
        self._environment = {**os.environ, "COROD_TAG": TAG, "COROD_PORT": str(self.port), **environment}
        self._clients = []

    def compose(self, *arguments, **environment):
        return must(*COMPOSE, "-p", self.name, *self._files, *arguments, env={**self._environment, **environment})

    def up(self, **environment):
        """Starts the server, or replaces it; sets `container`."""
        self.compose("up", "-d", "--no-build", "corod", **environment)
        self.container = self.compose("ps", "-q", "corod")

    def down(self):
        """With everything that was made for it."""
        for client in self._clients:
            must(ENGINE, "rm", "-f", client)
        self.compose("down", "-v", "-t", "5")

    def inspect(self):
        return json.loads(must(ENGINE, "inspect", self.container))[0]

    def inside(self, *command):
        return run(ENGINE, "exec", self.container, *command)

    def wait_until_healthy(self):
        def healthy():
            return must(ENGINE, "inspect", "-f", "{{.State.Health.Status}}", self.container) == "healthy"
        try:
            eventually(healthy, "healthy")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{run(ENGINE, 'logs', self.container)}") from None

    def client(self, *options):
        """A container beside the server that does nothing by itself; its name."""
        name = f"{self.name}-client-{len(self._clients)}"
        self._clients.append(name)
        start_idle(name, "--network", f"{self.name}_default", *options)
        return name


def start_idle(name, *options):
    """Starts a container of the image that waits for commands."""
    must(ENGINE, "run", "-d", "--init", "--name", name, "--no-healthcheck", *options, "--entrypoint", "sleep", IMAGE, "infinity")


def coroctl(client, *arguments):
    return must(ENGINE, "exec", client, "coroctl", "--server", "corod:7117", *arguments)


# Sends 1, 2, 3, ... and prints each answer, until /tmp/stop is there. What was not answered it sends again, with its request id:
# nobody was there, or whoever was there went away. It ends at any other error.
RETRYING_CLIENT = """
for ((i = 1; ; ++i)); do
  [ ! -e /tmp/stop ] || exit 0
  until said=$(coroctl --server corod:7117 --timeout 5s send "$1" "$i" --request-id "send-$i" 2>&1); do
    [[ $said == *UNAVAILABLE* || $said == *DEADLINE_EXCEEDED* ]] || { echo "failed: $said"; exit 1; }
  done
  echo "$said"
done
"""


class ImageTest(unittest.TestCase):
    def test_size(self):
        sizes = {image: int(must(ENGINE, "image", "inspect", "-f", "{{.Size}}", image)) for image in (IMAGE, BASE_IMAGE)}
        added = sizes[IMAGE] - sizes[BASE_IMAGE]
        print(f"test-docker: the image adds {added / (1 << 20):.1f} MiB to its base", flush=True)
        self.assertGreater(added, 0)
        self.assertLessEqual(added, MOST_BYTES_OVER_BASE)

    def test_its_user_is_not_root(self):
        self.assertEqual(must(ENGINE, "run", "--rm", "--entrypoint", "id", IMAGE, "-u"), "10001")

    def test_as_it_is_it_says_what_is_missing(self):
        self.assert_refused("--insecure", run(ENGINE, "run", "--rm", IMAGE))

    def test_wrong_configurations_end_with_one_line(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            idle = f"corod-test-{os.getpid()}-idle"
            self.addCleanup(run, ENGINE, "rm", "-f", idle)
            start_idle(idle, "-v", f"{directory}:/etc/corod:ro")

            def start(*arguments):
                return run(ENGINE, "exec", idle, "corod-start", *arguments)

            tls = ["--tls-cert=/nowhere.crt", "--tls-key=/nowhere.key", "--identities=/nowhere"]
            for words, arguments in (("--insecure", ["--listen", "0.0.0.0:7117"]),
                                     ("'7117' is not an address", ["--listen", "7117", "--insecure"]),
                                     ("--lisen", ["--lisen", "127.0.0.1:7117"]),
                                     ("/nowhere.crt", ["--listen", "0.0.0.0:7117", *tls]),
                                     ("/usr/corod", ["--data-dir", "/usr/corod"])):
                self.assert_refused(words, start(*arguments))
            flags = os.path.join(directory, "flags")
            with open(flags, "w", encoding="utf-8") as file:
                file.write("# ours\n--max-session=10\n")
            os.chmod(flags, 0o644)
            self.assert_refused("--max-session", start("--listen", "127.0.0.1:7117"))
            os.chmod(flags, 0o600)
            self.assert_refused("/etc/corod/flags is not a file that user 10001 can read", start())

    def assert_refused(self, words, said):
        with self.subTest(words):
            self.assertIn(said.returncode, (1, 2), said.stdout + said.stderr)
            # Podman's own word on a command that failed is Podman's.
            lines = [line for line in said.stderr.splitlines() if not line.startswith("Error: non zero exit code")]
            self.assertEqual((said.stdout, len(lines)), ("", 1), said.stderr)
            self.assertTrue(lines[0].startswith("corod: "), said.stderr)
            self.assertIn(words, lines[0])


class ComposeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.project = Project("compose.yaml")
        cls.addClassCleanup(cls.project.down)
        cls.project.up()
        cls.project.wait_until_healthy()
        cls.peer = cls.project.client()

    def coroctl(self, *arguments):
        return coroctl(self.peer, *arguments)

    def test_drive_from_another_container(self):
        self.assertIn("averager", self.project.compose("run", "--rm", "-T", "coroctl", "catalog"))
        session = self.coroctl("create", "averager", "--prime").split()[0]
        self.assertEqual([self.coroctl("send", session, value) for value in ("10", "20")], ["10.0", "15.0"])
        self.assertTrue(self.coroctl("close", session).startswith("returned"))

    def test_published_on_loopback_alone(self):
        published = self.project.inspect()["NetworkSettings"]["Ports"]["7117/tcp"]
        self.assertEqual([(port["HostIp"], port["HostPort"]) for port in published], [("127.0.0.1", str(self.project.port))])
        with socket.create_connection(("127.0.0.1", self.project.port), SECONDS):
            pass

    def test_limits(self):
        limits = self.project.inspect()["HostConfig"]
        self.assertEqual((limits["Memory"], limits["PidsLimit"]), (2 << 30, 1024))
        cpus = limits["NanoCpus"] / 1e9 if limits.get("NanoCpus") else limits["CpuQuota"] / limits["CpuPeriod"]
        self.assertEqual(cpus, 2)
        # As the kernel has them, with control groups of either version.
        def limit(*paths):
            return self.project.inside("cat", *(f"/sys/fs/cgroup/{path}" for path in paths)).stdout.strip()
        self.assertEqual(limit("memory.max", "memory/memory.limit_in_bytes"), str(2 << 30))
        self.assertEqual(limit("pids.max", "pids/pids.max"), "1024")

    def test_what_it_may_do(self):
        status = dict(line.split(":\t", 1) for line in self.project.inside("cat", "/proc/1/status").stdout.splitlines())
        self.assertEqual(status["Uid"].split(), ["10001"] * 4)
        self.assertEqual(status["NoNewPrivs"], "1")
        for capabilities in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            self.assertEqual(int(status[capabilities], 16), 0, capabilities)

    def test_where_it_may_write(self):
        for directory, writable in (("/var/lib/corod", True), ("/tmp", True), ("/usr/local", False), ("/etc/corod", False)):
            said = self.project.inside("touch", f"{directory}/written")
            self.assertEqual(said.returncode == 0, writable, directory + said.stderr)
            if not writable:
                self.assertIn("Read-only file system", said.stderr)

    def test_its_log_is_bounded(self):
        log = self.project.inspect()["HostConfig"]["LogConfig"]
        size = (log.get("Config") or {}).get("max-size") or log.get("Size")  # Docker's, Podman's
        self.assertRegex(size, "(?i)^10 ?mb?$")

    def test_metrics(self):
        request = r"exec 3<>/dev/tcp/corod/9117; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3"
        head, _, body = must(ENGINE, "exec", self.peer, "bash", "-c", request).partition("\n\n")
        self.assertIn(" 200 ", head.splitlines()[0])
        shown = set(re.findall(r"^((?:corod|process)_\w+)", body, re.MULTILINE))
        self.assertIn("corod_build_info", shown)
        self.assertLessEqual(shown, set(metric_names.samples(metric_names.read())))

    def test_killed_it_comes_back_with_its_sessions(self):
        self.coroctl("create", "averager", "--id", "killed", "--prime")
        self.coroctl("send", "killed", "10")
        answer = self.coroctl("send", "killed", "20", "--request-id", "twice")
        self.assertEqual(answer, "15.0")
        def started_at():
            return must(ENGINE, "inspect", "-f", "{{.State.StartedAt}}", self.project.container)
        started = started_at()
        # From inside: what the engine itself kills it does not start again.
        self.project.inside("bash", "-c", "kill -KILL $(pidof corod)")
        eventually(lambda: started_at() != started, "started again")
        self.project.wait_until_healthy()
        self.assertEqual(self.coroctl("send", "killed", "20", "--request-id", "twice"), answer)
        self.assertRegex(self.coroctl("get", "killed"), r"(?m)^steps +3$")
        self.assertEqual(self.coroctl("send", "killed", "30"), "20.0")


class UpgradeTest(unittest.TestCase):
    def test_in_place_under_load(self):
        next_tag = f"{TAG}-next-{os.getpid()}"
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "Dockerfile"), "w", encoding="utf-8") as file:
                file.write(f"FROM {IMAGE}\nLABEL next=yes\n")
            must(ENGINE, "build", "-q", "-t", f"{NAME}:{next_tag}", directory)
        self.addCleanup(must, ENGINE, "rmi", "-f", f"{NAME}:{next_tag}")
        project = Project("compose.yaml")
        self.addCleanup(project.down)
        project.up()
        project.wait_until_healthy()
        client = project.client()
        coroctl(client, "create", "averager", "--id", "upgraded", "--prime")
        coroctl(client, "create", "sliding_window", "size=2", "--id", "asleep", "--prime")
        coroctl(client, "send", "asleep", "1")

        answers = []
        with subprocess.Popen([ENGINE, "exec", client, "bash", "-c", RETRYING_CLIENT, "retrying", "upgraded"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as load:
            reader = threading.Thread(target=lambda: [answers.append(line.strip()) for line in load.stdout])
            reader.start()
            try:
                self.wait_for_more(answers, load)
                project.up(COROD_TAG=next_tag)
                project.wait_until_healthy()
                self.assertEqual(project.inspect()["Config"]["Labels"]["next"], "yes")
                self.wait_for_more(answers, load)
            finally:
                run(ENGINE, "exec", client, "touch", "/tmp/stop")
                load.wait(SECONDS)
                reader.join()
        # The average of 1 to n, each sent once.
        self.assertEqual(answers, [str((1 + n) / 2) for n in range(1, len(answers) + 1)])
        self.assertRegex(coroctl(client, "get", "upgraded"), rf"(?m)^steps +{len(answers) + 1}$")
        self.assertEqual(coroctl(client, "send", "asleep", "2"), "[1, 2]")

        must(ENGINE, "stop", "-t", "40", project.container)
        self.assertEqual(must(ENGINE, "inspect", "-f", "{{.State.ExitCode}}", project.container), "0")

    def wait_for_more(self, answers, load):
        before = len(answers)
        eventually(lambda: len(answers) >= before + 10 or load.poll() is not None, "ten more answers")
        self.assertIsNone(load.poll(), answers[-1:])


class SecureTest(unittest.TestCase):
    def test_known_callers_alone(self):
        with tempfile.TemporaryDirectory() as directory:
            secrets = os.path.join(directory, "secrets")
            must(os.path.join(DOCKER, "make-secrets.sh"), "-d", secrets)
            # Two ports of the machine's lead to it.
            project = Project("compose.yaml", "compose.secure.yaml", COROD_SECRETS=secrets,
                              COROD_PUBLISH=f"127.0.0.1:{free_port()}")
            self.addCleanup(project.down)
            project.up()
            project.wait_until_healthy()
            self.assertIn("averager", project.compose("run", "--rm", "-T", "coroctl", "catalog"))

            client = project.client("-v", f"{secrets}/client:/secrets:ro")
            with open(os.path.join(secrets, "client", "token"), encoding="ascii") as file:
                wrong = file.read().strip()[:-1] + "!"
            must(ENGINE, "exec", client, "bash", "-c", f"echo '{wrong}' >/tmp/wrong")
            trust = ["--tls-ca", "/secrets/ca.crt"]
            self.assertIn("averager", coroctl(client, *trust, "--token-file", "/secrets/token", "catalog"))
            for words, arguments in (("CREDENTIALS_MISSING", trust),
                                     ("CREDENTIALS_INVALID", [*trust, "--token-file", "/tmp/wrong"]),
                                     ("UNAVAILABLE", [])):
                said = run(ENGINE, "exec", client, "coroctl", "--server", "corod:7117", *arguments, "catalog")
                self.assertNotEqual(said.returncode, 0, words)
                self.assertIn(words, said.stderr)
                self.assertEqual(said.stdout, "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
