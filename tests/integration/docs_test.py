"""What docs/errors.md and docs/operations.md say, held to the sources and the binaries."""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import grpc

import corod_testing as testing

TOP = Path(__file__).resolve().parents[2]
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+[a-z]")


def read(*path):
    return TOP.joinpath(*path).read_text(encoding="utf-8")


def reasons():
    return set(re.findall(r"^  X\((\w+), k\w+\)", read("server", "base", "failure.h"), re.MULTILINE))


def in_first_cells(table):
    """The names in the first cells of a text's tables."""
    return [name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`([A-Z_]+)`", row)]


def help_of(variable, *arguments):
    return subprocess.run([testing.binary(variable), *arguments, "--help"], capture_output=True, text=True, check=True,
                          timeout=testing.CALL_SECONDS).stdout


class ReasonsTest(unittest.TestCase):
    def test_the_reasons_are_found(self):
        self.assertGreaterEqual(len(reasons()), 38)

    def test_each_has_one_row_in_errors(self):
        self.assertEqual(sorted(in_first_cells(read("docs", "errors.md"))), sorted(reasons()))

    def test_each_has_one_row_in_operations(self):
        section = read("docs", "operations.md").partition("## Errors by reason\n")[2].partition("\n## ")[0]
        self.assertEqual(sorted(in_first_cells(section)), sorted(reasons()))


class OperationsTest(unittest.TestCase):
    # Of other programs, and of coroctl where its help may be read for itself.
    OTHERS = {"--build", "--now", "--system", "--home-dir", "--shell", "--server", "--tls-ca", "--token-file"}

    def setUp(self):
        self.text = read("docs", "operations.md")

    def test_flags_are_those_of_the_binaries(self):
        known = set()
        for variable, *arguments in [("COROD_BIN",), ("COROD_BIN", "backup"), ("COROD_BIN", "restore"), ("COROD_BIN", "check"),
                                     ("COROCTL",), ("COROCTL", "bench"), ("COROCTL", "list"), ("COROCTL", "fork")]:
            known |= set(FLAG.findall(help_of(variable, *arguments)))
        named = set(FLAG.findall(self.text)) - self.OTHERS
        self.assertGreater(len(named), 30)
        self.assertEqual(named - known - {"--only"}, set())

    def test_links_lead_to_headings(self):
        for page in "operations.md", "errors.md", "api.md", "endings.md", "authors.md":
            for file, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", read("docs", page)):
                headings = re.findall(r"^#+ (.*)$", read("docs", file or page), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                self.assertIn(anchor, anchors, page)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_the_unit_is_one(self):
        unit = re.search(r"```ini\n(.*?)```", self.text, re.DOTALL)[1]
        unit = unit.replace("/usr/local/bin/corod", testing.binary("COROD_BIN"))
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "corod.service")
            path.write_text(unit, encoding="utf-8")
            said = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True,
                                  timeout=testing.CALL_SECONDS, check=False)
        self.assertNotIn("corod.service", said.stdout + said.stderr)
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_the_unit_starts_with_flags_that_there_are(self):
        command = re.search(r"ExecStart=/usr/local/bin/corod (.*?)\n[A-Z]", self.text, re.DOTALL)[1]
        known = set(FLAG.findall(help_of("COROD_BIN")))
        self.assertLessEqual(set(FLAG.findall(command)), known)


class RolesTest(unittest.TestCase):
    """The table of roles, on a server that knows one caller of each."""

    SERVICES = {"CoroutineService": "coroutine_service", "CatalogService": "catalog_service", "AdminService": "admin_service"}
    ROLES = ["observe", "drive", "define", "admin"]

    @classmethod
    def setUpClass(cls):
        directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        identities = os.path.join(directory, "identities")
        with open(identities, "w", encoding="ascii") as file:
            for role in cls.ROLES:
                digest = hashlib.sha256(b"0123456789abcdef" + role.encode()).hexdigest()
                file.write(f"{role} team-a {role} sha256:{b'0123456789abcdef'.hex()}:{digest}\n")
        cls.server = testing.Server(testing.binary("COROD_BIN"), "--identities", identities)
        cls.addClassCleanup(cls.server.stop)
        cls.client = cls.server.client()

    def rpcs(self):
        """Path of each RPC, by its name."""
        found = {}
        for service, file in self.SERVICES.items():
            for name in re.findall(r"^  rpc (\w+)\(", read("proto", "corod", "v1", f"{file}.proto"), re.MULTILINE):
                found[name] = f"/corod.v1.{service}/{name}"
        return found

    def reason(self, path, role=None):
        """Of the error with which an empty request is answered; empty: none, or another's."""
        metadata = [("authorization", f"Bearer {role}.{role}")] if role else []
        call = self.client.channel.stream_stream(path)(iter([b""]), metadata=metadata, timeout=testing.CALL_SECONDS)
        try:
            list(call)
        except grpc.RpcError as error:
            return testing.refusal_of(error).reason
        return ""

    def test_each_rpc_takes_the_role_of_its_row(self):
        table = read("docs", "operations.md").partition("### Roles\n")[2].partition("\n### ")[0]
        needed = {rpc: row[0] for row in re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)
                  for rpc in re.findall(r"`(\w+)`", row[1])}
        rpcs = self.rpcs()
        self.assertEqual(set(needed), set(rpcs))
        for rpc, path in rpcs.items():
            self.assertEqual(self.reason(path), "CREDENTIALS_MISSING", rpc)
            for role in self.ROLES:
                may = self.ROLES.index(role) >= self.ROLES.index(needed[rpc])
                with self.subTest(rpc, role=role):
                    (self.assertNotEqual if may else self.assertEqual)(self.reason(path, role), "ROLE_INSUFFICIENT")


class CertificatesTest(unittest.TestCase):
    """Lines `certificate:` of --identities: a URI, a DNS name, and a common name where there is neither."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())

    def path(self, name):
        return os.path.join(self.directory, name)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=testing.CALL_SECONDS, cwd=self.directory)

    def make(self, name, alternative=None):
        """A key and a certificate, of itself (`ca`) or of the CA."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key"]
        if name == "ca":
            self.openssl("req", "-x509", *key, "-out", "ca.pem", "-days", "2")
            return
        self.openssl("req", *key, "-out", "request")
        with open(self.path("extensions"), "w", encoding="ascii") as file:
            file.write(f"subjectAltName={alternative}\n" if alternative else "")
        self.openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                     "-extfile", "extensions", "-out", f"{name}.pem")

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def list_as(self, name):
        """The reason for which that client is refused; empty: it is not."""
        credentials = grpc.ssl_channel_credentials(self.read("ca.pem"), self.read(f"{name}.key"), self.read(f"{name}.pem"))
        with grpc.secure_channel(self.server.address.replace("127.0.0.1", "localhost"), credentials) as channel:
            try:
                channel.unary_unary("/corod.v1.CoroutineService/List")(b"", timeout=testing.CALL_SECONDS)
            except grpc.RpcError as error:
                return testing.refusal_of(error).reason
        return ""

    def test_callers_by_certificate(self):
        self.make("ca")
        self.make("server", "DNS:localhost")
        self.make("uri", "URI:spiffe://example.org/web")
        self.make("dns", "DNS:dash.example.org")
        self.make("plain")
        self.make("stranger", "DNS:elsewhere.example.org")
        self.make("unknown")
        with open(self.path("identities"), "w", encoding="ascii") as file:
            file.write("web team-a drive certificate:spiffe://example.org/web\n"
                       "dash team-a observe certificate:dash.example.org\n"
                       "plain team-a observe certificate:plain\nold team-a observe certificate:stranger\n")
        flags = {"--tls-cert": "server.pem", "--tls-key": "server.key", "--tls-client-ca": "ca.pem", "--identities": "identities"}
        self.server = testing.Server(testing.binary("COROD_BIN"),
                                     *(word for flag, name in flags.items() for word in (flag, self.path(name))))
        self.addCleanup(self.server.stop)
        self.assertEqual([self.list_as(name) for name in ("uri", "dns", "plain")], ["", "", ""])
        # Its common name counts only where it has no other.
        self.assertEqual([self.list_as(name) for name in ("stranger", "unknown")], ["CREDENTIALS_INVALID"] * 2)


if __name__ == "__main__":
    unittest.main()
