#!/usr/bin/env python3
"""docker/'s compose files as docker-compose reads them, what docker/make-secrets.sh makes, and what docker/start does. No
container is started."""
import functools
import hashlib
import os
import stat
import subprocess
import tempfile
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
DOCKER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "docker")
PLAIN, SECURE, OBSERVE = "compose.yaml", "compose.secure.yaml", "compose.observe.yaml"


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@functools.cache
def composes():
    """Every kind of compose that is installed."""
    found = [command for command in (["docker-compose"], ["docker", "compose"]) if answers(*command, "version")]
    if not found:
        raise AssertionError("there is no docker-compose; .ci/setup test installs it")
    return found


def answers(*command):
    try:
        return run(*command).returncode == 0
    except FileNotFoundError:
        return False


class ComposeTest(unittest.TestCase):
    def read(self, *files, **environment):
        """The services of `files` together, the same from every compose that is there."""
        chosen = [word for file in files for word in ("-f", os.path.join(DOCKER, file))]
        unset = {name: value for name, value in os.environ.items() if not name.startswith(("COROD_", "COMPOSE_"))}
        for compose in composes():
            said = run(*compose, "--profile", "tools", *chosen, "config", env={**unset, **environment})
            self.assertEqual(said.returncode, 0, said.stderr)
            yield yaml.safe_load(said.stdout)["services"]

    @staticmethod
    def ports(service):
        """HOST:PORT that it is published on. compose v2 writes them as maps."""
        return [port.rpartition(":")[0] if isinstance(port, str) else f"{port.get('host_ip', '')}:{port['published']}"
                for port in service.get("ports", [])]

    @staticmethod
    def read_only_mounts(service):
        """Where a directory or file of the machine's is mounted that the container cannot write."""
        mounts = [volume.split(":") if isinstance(volume, str) else
                  [volume["source"], volume["target"], "ro" if volume.get("read_only") else "rw"]
                  for volume in service["volumes"]]
        return {target for _, target, mode in mounts if mode == "ro"}

    def test_every_combination(self):
        for files in ([PLAIN], [PLAIN, SECURE], [PLAIN, OBSERVE], [PLAIN, SECURE, OBSERVE]):
            for services in self.read(*files):
                self.assertEqual(set(services), {"corod", "coroctl"} | ({"prometheus", "grafana"} if OBSERVE in files else set()))
                for name, service in services.items():
                    with self.subTest(files=files, service=name):
                        self.assertTrue(service["read_only"])
                        self.assertEqual(service["cap_drop"], ["ALL"])
                        self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                        self.assertTrue(service["mem_limit"])
                        self.assertTrue(service["pids_limit"])
                        self.assertIn("max-size", service["logging"]["options"])
                        for port in self.ports(service):
                            self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_the_plain_one_says_that_it_is(self):
        for services in self.read(PLAIN):
            self.assertIn("--insecure", services["corod"]["command"])
            self.assertEqual(self.ports(services["corod"]), ["127.0.0.1:7117"])
            self.assertEqual(self.read_only_mounts(services["corod"]), {"/etc/corod"})
            self.assertEqual(float(services["corod"]["cpus"]), 2)
            self.assertTrue(services["corod"]["tmpfs"][0].startswith("/tmp:"))

    def test_the_secure_one_is(self):
        for services in self.read(PLAIN, SECURE, COROD_PUBLISH="0.0.0.0:7443"):
            self.assertNotIn("--insecure", services["corod"]["command"])
            command = " ".join(services["corod"]["command"])
            for flag in "--tls-cert=", "--tls-key=", "--identities=":
                self.assertIn(f"{flag}/run/secrets/corod/", command)
            self.assertEqual(set(self.ports(services["corod"])), {"127.0.0.1:7117", "0.0.0.0:7443"})
            self.assertEqual(self.read_only_mounts(services["corod"]), {"/etc/corod", "/run/secrets/corod"})
            self.assertEqual(self.read_only_mounts(services["coroctl"]), {"/run/secrets/corod"})
            for check in services["corod"]["healthcheck"]["test"], services["coroctl"]["entrypoint"]:
                self.assertIn("--tls-ca", check)

    def test_nobody_else_sees_the_cas_key(self):
        for services in self.read(PLAIN, SECURE, COROD_SECRETS="/secrets"):
            sources = {volume.split(":")[0] if isinstance(volume, str) else volume["source"]
                       for service in services.values() for volume in service["volumes"]}
            self.assertLessEqual({"/secrets/server", "/secrets/client"}, sources)
            self.assertFalse(sources & {"/secrets", "/secrets/ca"})


class SecretsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.parent = directory.name
        cls.directory = os.path.join(directory.name, "secrets")
        said = cls.make("-d", cls.directory, "corod.example", "10.9.8.7", "fd00::7")
        if said.returncode != 0:
            raise AssertionError(said.stderr)

    @staticmethod
    def make(*arguments):
        return run(os.path.join(DOCKER, "make-secrets.sh"), *arguments)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def text(self, *names):
        with open(self.path(*names), encoding="ascii") as file:
            return file.read()

    def test_the_certificate_is_the_cas_for_each_name(self):
        for option, name in (("-verify_hostname", "corod"), ("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1"),
                             ("-verify_ip", "::1"), ("-verify_hostname", "corod.example"), ("-verify_ip", "10.9.8.7"),
                             ("-verify_ip", "fd00::7")):
            said = run("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", self.path("client", "ca.crt"),
                       option, name, self.path("server", "server.crt"))
            self.assertEqual(said.returncode, 0, name + said.stdout + said.stderr)
        said = run("openssl", "verify", "-CAfile", self.path("client", "ca.crt"), "-verify_hostname", "other.example",
                   self.path("server", "server.crt"))
        self.assertNotEqual(said.returncode, 0)

    def test_the_key_is_the_certificates(self):
        of_certificate = run("openssl", "x509", "-in", self.path("server", "server.crt"), "-noout", "-pubkey").stdout
        of_key = run("openssl", "pkey", "-in", self.path("server", "server.key"), "-pubout").stdout
        self.assertIn("PUBLIC KEY", of_key)
        self.assertEqual(of_certificate, of_key)

    def test_the_token_is_the_identitys(self):
        name, namespace, role, digest = self.text("server", "identities").split()
        kind, salt, expected = digest.split(":")
        self.assertEqual((name, namespace, role, kind), ("admin", "default", "admin", "sha256"))
        token_name, _, secret = self.text("client", "token").strip().partition(".")
        self.assertEqual(token_name, name)
        self.assertGreaterEqual(len(secret), 32)
        self.assertEqual(hashlib.sha256(bytes.fromhex(salt) + secret.encode()).hexdigest(), expected)

    def test_others_on_the_machine_reach_nothing(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.directory).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("ca", "ca.key")).st_mode), 0o600)
        # Mounted, and read by the container's user.
        for folder, names in ("server", ["ca.crt", "identities", "server.crt", "server.key"]), ("client", ["ca.crt", "token"]):
            self.assertEqual(sorted(os.listdir(self.path(folder))), names)
            for name in names:
                self.assertEqual(stat.S_IMODE(os.stat(self.path(folder, name)).st_mode), 0o644)

    def test_what_is_there_stays(self):
        before = self.text("client", "token")
        said = self.make("-d", self.directory)
        self.assertEqual((said.returncode, said.stderr.count("\n")), (1, 1), said.stderr)
        self.assertIn("is there already", said.stderr)
        self.assertEqual(self.text("client", "token"), before)

    def test_a_name_that_is_none(self):
        said = self.make("-d", os.path.join(self.parent, "other"), "a name,IP:0.0.0.0")
        self.assertEqual((said.returncode, said.stderr.count("\n")), (1, 1), said.stderr)
        self.assertEqual(os.listdir(self.parent), ["secrets"])

    def test_the_example_of_identities(self):
        with open(os.path.join(DOCKER, "config", "identities.example"), encoding="utf-8") as file:
            lines = [line.split() for line in file if not line.startswith("#")]
        self.assertEqual(len(lines), 2)
        for number, (_, _, role, digest) in enumerate(lines, 1):
            _, salt, expected = digest.split(":")
            self.assertIn(role, ("observe", "drive", "define", "admin"))
            self.assertEqual(hashlib.sha256(bytes.fromhex(salt) + b"example-%d" % number).hexdigest(), expected)


class StartTest(unittest.TestCase):
    """docker/start, with /etc/corod/flags elsewhere and a corod that prints what it is given."""

    def start(self, flags, *arguments):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(DOCKER, "start"), encoding="utf-8") as file:
                script = file.read()
            self.assertIn("file=/etc/corod/flags\n", script)
            path = os.path.join(directory, "flags")
            with open(os.path.join(directory, "start"), "w", encoding="utf-8") as file:
                file.write(script.replace("/etc/corod/flags", path))
            corod = os.path.join(directory, "corod")
            with open(corod, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\nprintf "<%s>" "$@"\n')
            os.chmod(corod, 0o755)
            if flags is not None:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(flags)
            return run("/bin/sh", os.path.join(directory, "start"), *arguments,
                       env={"PATH": f"{directory}:/usr/bin:/bin"})

    def test_flags_come_in_their_order(self):
        said = self.start("# of ours\n\n--plugin=/a b.so\n--plugin=/*.so\n--log-level=$HOME", "--listen", "x y")
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        self.assertEqual(said.stdout, "<--listen><x y><--plugin=/a b.so><--plugin=/*.so><--log-level=$HOME>")

    def test_without_the_file(self):
        self.assertEqual(self.start(None, "--version").stdout, "<--version>")

    def test_a_command_runs_in_its_place(self):
        said = self.start("--insecure", "sh", "-c", 'corod restore "$1" && echo', "sh", "a copy")
        self.assertEqual((said.returncode, said.stdout), (0, "<restore><a copy>\n"))

    def test_what_is_no_flag(self):
        said = self.start("--insecure\nlisten 1\n")
        self.assertEqual((said.returncode, said.stdout, said.stderr.count("\n")), (2, "", 1))
        self.assertIn("'listen 1' is neither a flag", said.stderr)

    def test_the_flags_that_are_shipped(self):
        with open(os.path.join(DOCKER, "config", "flags"), encoding="utf-8") as file:
            said = self.start(file.read())
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(said.stdout, "<--log-format=json><--max-script-memory=512MiB><--max-connection-memory=512MiB><--drain-timeout=30s>")


if __name__ == "__main__":
    unittest.main()
