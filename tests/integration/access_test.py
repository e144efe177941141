"""Who may do what: every RPC by every role, namespaces, credentials that are none, TLS, limits, and files that change.

RPCS is the contract. A test fails if a service has an RPC that is not in it.
"""
import base64
import contextlib
import glob
import hashlib
import hmac
import itertools
import json
import os
import queue
import re
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.request
import warnings

import grpc

import corod_testing as testing
import credentials as made
from corod.v1 import admin_service_pb2 as admin_pb
from corod_testing import catalog_pb, closes, creates, pb, refused, sends, throws

NOBODY, OBSERVE, DRIVE, DEFINE, ADMIN = "nobody", "observe", "drive", "define", "admin"
ROLES = (OBSERVE, DRIVE, DEFINE, ADMIN)
SCRIPT = "return function() while true do yield(1) end end"


def first(stream):
    """The first message of a stream, which is then left."""
    message = next(iter(stream))
    stream.cancel()
    return message


def define(client, name, source=SCRIPT):
    return client.catalog.DefineCoroutine(
        catalog_pb.DefineCoroutineRequest(coroutine=catalog_pb.Coroutine(name=name, source=source)),
        timeout=testing.CALL_SECONDS)


def coroutine(client, name):
    return client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name=name), timeout=testing.CALL_SECONDS)


def undefine(client, name):
    return client.catalog.DeleteCoroutine(catalog_pb.DeleteCoroutineRequest(name=name), timeout=testing.CALL_SECONDS)


def drive(client, *commands):
    """All replies; fails as the stream does."""
    return [testing.reply_of(reply) for response in
            client.stub.Drive(iter([pb.DriveRequest(commands=commands)]), timeout=testing.CALL_SECONDS)
            for reply in response.replies]


def watch(client, session):
    return first(client.stub.Watch(pb.WatchRequest(session_id=session, from_step=0), timeout=testing.CALL_SECONDS))


def export(client, session):
    return b"".join(part.chunk for part in
                    client.stub.Export(pb.ExportRequest(session_id=session), timeout=testing.CALL_SECONDS))


def load(client, exported, session=""):
    return client.stub.Import(iter([pb.ImportRequest(session_id=session, chunk=exported)]), timeout=testing.CALL_SECONDS)


def fork(client, session, new_session=""):
    return client.stub.Fork(pb.ForkRequest(session_id=session, new_session_id=new_session), timeout=testing.CALL_SECONDS)


def list_coroutines(client):
    return [each.name for each in
            client.catalog.ListCoroutines(catalog_pb.ListCoroutinesRequest(), timeout=testing.CALL_SECONDS).coroutines]


# What each RPC takes at least, and a call of it that is answered well if it is allowed. A call gets the client; a session of
# the caller's namespace, which may be changed; that session exported; and a path where nothing is.
RPCS = {
    "CoroutineService": {
        "Create": (DRIVE, lambda client, **_: client.create("averager")),
        "Send": (DRIVE, lambda client, session, **_: client.send(session, 1)),
        "Throw": (DRIVE, lambda client, session, **_: client.throw(session, ValueError())),
        "Close": (DRIVE, lambda client, session, **_: client.close(session)),
        "Drive": (DRIVE, lambda client, session, **_: drive(client, sends(session, 1))),
        "Get": (OBSERVE, lambda client, session, **_: client.get(session)),
        "List": (OBSERVE, lambda client, **_: client.list(page_size=1)),
        "Update": (DRIVE, lambda client, session, **_: client.update(session, labels={"a": "b"})),
        "Delete": (DRIVE, lambda client, session, **_: client.delete(session)),
        "Watch": (OBSERVE, lambda client, session, **_: watch(client, session)),
        "Fork": (DRIVE, lambda client, session, **_: fork(client, session)),
        "Export": (OBSERVE, lambda client, session, **_: export(client, session)),
        "Import": (DRIVE, lambda client, exported, new_id, **_: load(client, exported, new_id)),
    },
    "CatalogService": {
        "ListCoroutines": (OBSERVE, lambda client, **_: list_coroutines(client)),
        "GetCoroutine": (OBSERVE, lambda client, **_: coroutine(client, "averager")),
        "DefineCoroutine": (DEFINE, lambda client, **_: define(client, "of_the_table")),
        "DeleteCoroutine": (DEFINE, lambda client, **_: undefine(client, "to_be_deleted")),
    },
    "AdminService": {
        "GetLogLevels": (ADMIN, lambda client, **_: client.admin.GetLogLevels(admin_pb.GetLogLevelsRequest())),
        "SetLogLevel": (ADMIN, lambda client, **_: client.admin.SetLogLevel(
            admin_pb.SetLogLevelRequest(area="server", level="trace"))),
        "Backup": (ADMIN, lambda client, nowhere, **_: client.admin.Backup(admin_pb.BackupRequest(directory=nowhere))),
    },
}
SERVICES = {"CoroutineService": pb.DESCRIPTOR, "CatalogService": catalog_pb.DESCRIPTOR, "AdminService": admin_pb.DESCRIPTOR}


class World:
    """What all tests share: keys, certificates, tokens, and one server that takes all of them."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = made.Authority(directory, "ca")
        self.other_ca = made.Authority(directory, "other-ca")
        self.server_files = self.ca.certify("server", "DNS:localhost,IP:127.0.0.1")
        self.keys = {algorithm: made.Key(directory, f"key-{algorithm}", algorithm) for algorithm in made.Key.KINDS}
        self.strangers = {algorithm: made.Key(directory, f"stranger-{algorithm}", algorithm)
                          for algorithm in ("RS256", "ES256")}
        self.certificates = {
            "worker": self.ca.certify("worker", "DNS:worker.example"),
            "unknown": self.ca.certify("unknown", "DNS:unknown.example"),
            "foreign": self.other_ca.certify("foreign", "DNS:worker.example"),
        }
        self.tokens, lines = {}, ["worker team-a drive certificate:worker.example   # no token"]
        for name_space in ("team-a", "team-b"):
            for role in ROLES:
                self.add_token(f"{name_space}-{role}", name_space, role, lines)
        for name_space in ("few-sessions", "few-commands", "few-definitions", "few-streams", "little-memory",
                           "little-journal"):
            self.add_token(name_space, name_space, DEFINE, lines)
        self.identities = self.put("identities", "\n".join(lines) + "\n")
        self.jwks = self.put("jwks.json", made.key_set(*self.keys.values()))
        self.limits = self.put("limits", "few-sessions sessions=2\nfew-commands commands=2\nfew-definitions definitions=2\n"
                               "few-streams streams=2\nlittle-memory memory=1MiB\nlittle-journal journal=64KiB\n")
        self.server = self.start("--limits", self.limits, "--metrics", "127.0.0.1:0", *self.mutual("optional"),
                                 data_dir=os.path.join(directory, "data"), log_level="trace")

    def add_token(self, name, name_space, role, lines):
        self.tokens[name], line = made.static_token(name, name_space, role)
        lines.append(line)

    def put(self, name, text):
        path = os.path.join(self.directory, name)
        made.replace(path, text)
        return path

    def tls(self, files=None):
        certificate, key = files or self.server_files
        return "--tls-cert", certificate, "--tls-key", key

    def mutual(self, auth, ca=None):
        return "--tls-client-ca", ca or self.ca.path, "--tls-client-auth", auth

    @staticmethod
    def issuer(jwks):
        return "--jwks", jwks, "--jwt-issuer", made.ISSUER, "--jwt-audience", made.AUDIENCE

    def start(self, *flags, **options):
        return testing.Server(testing.binary("COROD_BIN"), *self.tls(), "--identities", self.identities,
                              *self.issuer(self.jwks), *flags, **options)

    def caller(self, token=None, server=None, ca=None, **options):
        server = server or self.server
        return server.keep(made.Caller(server.address, ca or self.ca.path, token, **options))

    def of(self, name):
        """Whoever has that static token."""
        return self.caller(self.tokens[name])


def setUpModule():
    global world
    directory = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(directory.cleanup)
    world = World(directory.name)
    unittest.addModuleCleanup(world.server.stop)


class AccessTest(unittest.TestCase):
    """`admin` is one of team-a."""

    @classmethod
    def setUpClass(cls):
        cls.admin = world.of("team-a-admin")

    def assert_refused(self, refusal, reason, code, **metadata):
        self.assertIsInstance(refusal, testing.Refusal)
        self.assertEqual((refusal.reason, refusal.code), (reason, code), refusal.message)
        self.assertEqual(refusal.metadata.get("executed"), "no")
        for key, value in metadata.items():
            self.assertEqual(refusal.metadata.get(key), value, refusal.metadata)

    def assert_unauthenticated(self, refusal, reason, **metadata):
        self.assert_refused(refusal, reason, grpc.StatusCode.UNAUTHENTICATED, **metadata)

    def reason(self, call, *arguments, **fields):
        """That of the Refusal, if there is one."""
        try:
            call(*arguments, **fields)
        except grpc.RpcError as error:
            return testing.refusal_of(error).reason
        return None


class RolesTest(AccessTest):
    def test_the_table_has_every_rpc(self):
        for service, file in SERVICES.items():
            methods = {method.name for method in file.services_by_name[service].methods}
            self.assertEqual(set(RPCS[service]), methods, service)
        protos = glob.glob(os.path.join(os.path.dirname(__file__), "../../proto/corod/v1/*.proto"))
        services = re.findall(r"^service (\w+)", "".join(made.read(path).decode() for path in protos), re.MULTILINE)
        self.assertEqual(set(RPCS), set(services))

    def call(self, service, rpc, client):
        """The Refusal of a call, or None."""
        session = self.admin.create("averager", prime=True).session.session_id
        if rpc == "DeleteCoroutine":
            define(self.admin, "to_be_deleted")
        given = {"session": session, "new_id": f"imported-{session}", "nowhere": os.path.join(world.directory, session),
                 "exported": export(self.admin, session)}
        before = self.admin.get(session)
        try:
            RPCS[service][rpc][1](client, **given)
        except grpc.RpcError as error:
            self.assertEqual(self.admin.get(session), before, "it was changed by who may not")
            self.assertFalse(os.path.exists(given["nowhere"]))
            self.assertEqual(refused(self.admin.get, given["new_id"]).reason, "SESSION_NOT_FOUND")
            return testing.refusal_of(error)
        return None

    def test_every_rpc_by_every_role(self):
        for service, rpcs in RPCS.items():
            for rpc, (needed, _) in rpcs.items():
                for role in ROLES:
                    with self.subTest(rpc=rpc, role=role):
                        refusal = self.call(service, rpc, world.of(f"team-a-{role}"))
                        if ROLES.index(role) >= ROLES.index(needed):
                            self.assertIsNone(refusal)
                        else:
                            self.assert_refused(refusal, "ROLE_INSUFFICIENT", grpc.StatusCode.PERMISSION_DENIED, role=role,
                                                needed=needed)

    def test_no_rpc_for_who_does_not_say_who_he_is(self):
        stranger = world.caller()
        for service, rpcs in RPCS.items():
            for rpc in rpcs:
                with self.subTest(rpc=rpc):
                    self.assert_unauthenticated(self.call(service, rpc, stranger), "CREDENTIALS_MISSING")


class GrpcsServicesTest(AccessTest):
    """Those that gRPC itself brings."""

    LIST_SERVICES = b"\x3a\x01*"
    LISTENING = b"listener ipv4:127.0.0.1:"
    REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

    def reflect(self, client):
        answer, = client.channel.stream_stream(self.REFLECTION)(iter([self.LIST_SERVICES]), timeout=testing.CALL_SECONDS)
        return answer

    def channelz(self, client):
        return client.raw("GetServers", b"", service="grpc.channelz.v1.Channelz")

    def health(self, client, service=b""):
        return client.raw("Check", service, service="grpc.health.v1.Health")

    def test_reflection_is_for_every_role(self):
        for role in ROLES:
            self.assertIn(b"corod.v1.CoroutineService", self.reflect(world.of(f"team-a-{role}")))

    def test_channelz_is_for_admins(self):
        self.assertIn(self.LISTENING, self.channelz(self.admin))
        for role in ROLES[:-1]:
            self.assertEqual(refused(self.channelz, world.of(f"team-a-{role}")).code, grpc.StatusCode.PERMISSION_DENIED)

    def test_neither_is_for_strangers(self):
        good = f"Bearer {world.tokens['team-a-admin']}"
        for authorizations in ((), ("Bearer team-a-admin.wrong",), ("",), (good, good), (good, "Bearer x.y")):
            for call in self.reflect, self.channelz:
                with self.subTest(call=call.__name__, authorizations=len(authorizations)):
                    refusal = refused(call, world.caller(authorizations=authorizations))
                    self.assertEqual(refusal.code, grpc.StatusCode.UNAUTHENTICATED)

    def test_health_is_for_everybody(self):
        for authorizations in ((), ("Bearer team-a-admin.wrong",)):
            self.assertEqual(self.health(world.caller(authorizations=authorizations)), b"\x08\x01")

    def test_both_are_for_everybody_where_nobody_is_asked_who_he_is(self):
        server = testing.Server(testing.binary("COROD_BIN"))
        self.addCleanup(server.stop)
        client = server.client()
        self.assertIn(b"corod.v1.CoroutineService", self.reflect(client))
        self.assertIn(self.LISTENING, self.channelz(client))

    def test_without_tls_there_is_no_reflection(self):
        server = testing.Server(testing.binary("COROD_BIN"), "--identities", world.identities)
        self.addCleanup(server.stop)
        client = server.client()
        for call in self.reflect, self.channelz:
            self.assertEqual(refused(call, client).code, grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(self.health(client), b"\x08\x01")
        self.assert_unauthenticated(refused(client.list), "CREDENTIALS_MISSING")


class NamespacesTest(AccessTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = world.of("team-b-admin")

    def setUp(self):
        self.session = self.admin.create("averager", self.id().rpartition(".")[2], prime=True).session.session_id

    def assert_unknown(self, refusal, reason):
        """As if there were none; and nothing tells where there is one."""
        self.assert_refused(refusal, reason, grpc.StatusCode.NOT_FOUND)
        self.assertNotIn("team-", refusal.message + str(refusal.metadata))

    def test_a_session_of_another_namespace_does_not_exist(self):
        before = self.admin.get(self.session)
        calls = {
            "get": self.other.get, "send": self.other.send, "close": self.other.close, "delete": self.other.delete,
            "throw": lambda session: self.other.throw(session, ValueError()),
            "update": lambda session: self.other.update(session, labels={"a": "b"}),
            "watch": lambda session: watch(self.other, session),
            "export": lambda session: export(self.other, session),
            "fork": lambda session: fork(self.other, session),
        }
        for name, call in calls.items():
            for session in (self.session, "nobodys"):
                with self.subTest(call=name, session=session):
                    self.assert_unknown(refused(call, session), "SESSION_NOT_FOUND")
        for command in (sends(self.session, 1), throws(self.session, ValueError()), closes(self.session)):
            self.assert_unknown(*drive(self.other, command), "SESSION_NOT_FOUND")
        self.assertEqual(self.admin.get(self.session), before)

    def test_no_id_reaches_into_another_namespace(self):
        for session in (f"team-a/{self.session}", f"team-a:{self.session}", f"team-a.{self.session}", f"../team-a/{self.session}",
                        f"team-a\x00{self.session}"):
            with self.subTest(session=session):
                self.assertIn(refused(self.other.get, session).reason, ("SESSION_NOT_FOUND", "INVALID_SESSION_ID"))

    def test_the_same_id_is_another_session_there(self):
        own = self.other.create("averager", self.session, prime=True)
        self.assertFalse(own.existed)
        self.other.send(self.session, 100)
        self.assertEqual(self.admin.send(self.session, 1).value, 1)
        self.assertEqual((self.admin.get(self.session).steps, self.other.get(self.session).steps), (2, 2))
        self.assertNotEqual(self.admin.get(self.session).uid, own.session.uid)
        moved = load(self.other, export(self.admin, self.session), f"{self.session}-copy").session
        self.assertEqual(self.other.get(moved.session_id).steps, 2)
        self.assert_unknown(refused(self.admin.get, moved.session_id), "SESSION_NOT_FOUND")
        self.other.delete(self.session)
        self.assertEqual(self.admin.get(self.session).steps, 2)

    def test_lists_show_the_own_ones_alone(self):
        for number in range(3):
            self.other.create("averager", f"listed-{number}")
        ids = {session.session_id for page in self.other.list_all(page_size=1) for session in page.sessions}
        self.assertLessEqual({"listed-0", "listed-1", "listed-2"}, ids)
        self.assertNotIn(self.session, ids)
        token = self.admin.list(page_size=1).next_page_token or "none"
        try:
            answer = self.other.list(page_token=token)
        except grpc.RpcError as error:
            self.assertEqual(testing.refusal_of(error).reason, "INVALID_PAGE_TOKEN")
        else:
            self.assertLessEqual({session.session_id for session in answer.sessions}, ids)

    def test_a_definition_of_another_namespace_does_not_exist(self):
        define(self.admin, "ours")
        self.assertIn("ours", list_coroutines(self.admin))
        self.assertNotIn("ours", list_coroutines(self.other))
        self.assertIn("averager", list_coroutines(self.other))
        for call in (coroutine, undefine, lambda client, name: client.create(name)):
            self.assert_unknown(refused(call, self.other, "ours"), "COROUTINE_NOT_FOUND")
        self.assert_unknown(*drive(self.other, creates("ours")), "COROUTINE_NOT_FOUND")
        own = define(self.other, "ours", "return function() yield('theirs') end").coroutine
        self.assertEqual((own.name, own.version), ("ours", 1))
        undefine(self.other, "ours")
        self.assertEqual(coroutine(self.admin, "ours").coroutine.source, SCRIPT)
        self.assertEqual(self.admin.create("ours", prime=True).primed.value, 1)

    def test_whoever_has_the_socket_is_in_the_namespace_default(self):
        client = testing.Client(f"unix:{world.directory}/data/admin.sock")
        self.addCleanup(client.disconnect)
        self.assertEqual(refused(client.get, self.session).reason, "SESSION_NOT_FOUND")
        client.create("averager", "of-the-operator")
        self.assert_unknown(refused(self.admin.get, "of-the-operator"), "SESSION_NOT_FOUND")


def bad_tokens():
    """Name, what stands in the metadata, and the problem that the answer names (None: there are no credentials)."""
    keys, now = world.keys, int(time.time())
    key, other_key, stranger = keys["RS256"], keys["ES256"], world.strangers["RS256"]
    header = {"alg": "RS256", "kid": key.name}
    good = made.token(key)
    head, body, signature = good.split(".")
    static = world.tokens["team-a-drive"]

    def of(problem, _key=key, **changed):
        return [f"Bearer {made.token(_key, **changed)}"], problem

    def by(problem, _key=key, _claims=None, **changed):
        fields = {name: value for name, value in (header | changed).items() if value is not None}
        return [f"Bearer {made.signed(_key, fields, made.claims() if _claims is None else _claims)}"], problem

    def text(problem, value):
        return [value], problem

    secret = key.public_pem()
    hs256 = made.joined({"alg": "HS256", "kid": key.name}, made.claims())
    hs256 += "." + made.base64url(hmac.new(secret, hs256.encode(), hashlib.sha256).digest())
    unsigned = made.joined({"alg": "none"}, made.claims())
    richer = made.base64url(json.dumps(made.claims(role=ADMIN)).encode())
    whole = base64.urlsafe_b64decode(signature + "==")
    flipped = bytearray(whole)
    flipped[7] ^= 1
    hashed = re.search(r"^team-a-drive .*:(\w+)$", made.read(world.identities).decode(), re.MULTILINE)[1]
    twice = json.dumps(made.claims())[:-1] + ', "role": "admin"}'
    return {
        "nothing": ([], None),
        "an empty text": text(None, ""),
        "the scheme alone": text("malformed", "Bearer"),
        "a token without a scheme": text("malformed", static),
        "the scheme Basic": text("malformed", "Basic " + base64.b64encode(static.encode()).decode()),
        "the scheme Token": text("malformed", f"Token {static}"),
        "two of them, both good": ([f"Bearer {static}", f"Bearer {good}"], "malformed"),
        "two of them, one good": ([f"Bearer {static}", "Bearer x.y"], "malformed"),
        "an unknown name": text("unknown", "Bearer nobody." + static.partition(".")[2]),
        "a wrong secret": text("unknown", "Bearer team-a-drive.secret"),
        "the secret of another": text("unknown", "Bearer team-a-admin." + static.partition(".")[2]),
        "the secret without its end": text("unknown", f"Bearer {static[:-1]}"),
        "the secret and more": text("unknown", f"Bearer {static}A"),
        "another case": text("unknown", "Bearer team-a-drive." + static.partition(".")[2].swapcase()),
        "an empty secret": text("malformed", "Bearer team-a-drive."),
        "a name alone": text("malformed", "Bearer team-a-drive"),
        "what the file says of it": text("unknown", f"Bearer team-a-drive.{hashed}"),
        "expired": of("expired", exp=now - 3600),
        "from the future": of("not_yet_valid", nbf=now + 3600),
        "issued in the future": of("not_yet_valid", iat=now + 3600),
        "without an end": of("claims", exp=None),
        "an end that is a text": of("claims", exp=str(now + 3600)),
        "a wrong issuer": of("issuer", iss="https://other.example"),
        "no issuer": of("issuer", iss=None),
        "a wrong audience": of("audience", aud="another-server"),
        "wrong audiences": of("audience", aud=["another-server", "corod"]),
        "no audience": of("audience", aud=None),
        "no subject": of("claims", sub=None),
        "no namespace": of("claims", namespace=None),
        "a namespace that is a path": of("claims", namespace="team-b/x"),
        "no role": of("claims", role=None),
        "an unknown role": of("claims", role="root"),
        "roles in a list": of("claims", role=["drive", "admin"]),
        "alg none": text("algorithm", f"Bearer {unsigned}."),
        "alg none with a signature": text("algorithm", f"Bearer {unsigned}.{signature}"),
        "alg nOnE": text("algorithm", "Bearer " + made.joined({"alg": "nOnE"}, made.claims()) + "."),
        "HS256 with the public key": text("algorithm", f"Bearer {hs256}"),
        "RS512": by("algorithm", alg="RS512"),
        "no algorithm": by("algorithm", alg=None),
        "the algorithm of another key": by("algorithm", alg="ES256"),
        "another key's id": by("algorithm", kid=other_key.name),
        "an unknown key id": by("unknown_key", kid="of nobody"),
        "a key id that is a path": by("unknown_key", kid="../../etc/passwd"),
        "a key id that is a number": by("malformed", kid=7),
        "signed by a stranger": by("signature", stranger),
        "signed by a stranger, with his key": by("signature", stranger, jwk=stranger.jwk()),
        "signed by a stranger, with his key's address": by("signature", stranger, jku="https://stranger.example/jwks"),
        "ES256 by a stranger": by("signature", world.strangers["ES256"], alg="ES256", kid=other_key.name),
        "a curve's signature in DER": ([f"Bearer {made.signed(other_key, {'alg': 'ES256', 'kid': other_key.name}, made.claims(), der=True)}"],
                                       "signature"),
        "an extension that matters": by("malformed", crit=["exp"]),
        "another type": by("malformed", typ="dpop+jwt"),
        "another payload": text("signature", f"Bearer {head}.{richer}.{signature}"),
        "a signature with another bit": text("signature", f"Bearer {head}.{body}.{made.base64url(bytes(flipped))}"),
        "a truncated signature": text("signature", f"Bearer {head}.{body}.{made.base64url(bytes(whole[:-4]))}"),
        # A length of 1 modulo 4 is never base64url; 4 letters less would be, if the bits left over happen to be zero.
        "a token without its end": text("malformed", f"Bearer {good[:-1]}"),
        "no signature": text("malformed", f"Bearer {head}.{body}."),
        "two parts": text("unknown", f"Bearer {head}.{body}"),
        "four parts": text("malformed", f"Bearer {good}.{signature}"),
        "padding": text("malformed", f"Bearer {good}=="),
        "a role that is said twice": by("malformed", _claims=twice.encode()),
        "claims that are no object": by("malformed", _claims=b"[]"),
        "a header that is no JSON": text("malformed", f"Bearer {made.base64url(b'{alg}')}.{body}.{signature}"),
        "two tokens in one": text("malformed", f"Bearer {good}, Bearer {good}"),
    }


class CredentialsTest(AccessTest):
    def test_good_ones(self):
        for name, options in {
            "a static token": dict(token=world.tokens["team-a-drive"]),
            "RS256": dict(token=made.token(world.keys["RS256"])),
            "ES256": dict(token=made.token(world.keys["ES256"])),
            "EdDSA": dict(token=made.token(world.keys["EdDSA"])),
            "audiences": dict(token=made.token(world.keys["ES256"], aud=["other", made.AUDIENCE])),
            "the scheme in another case": dict(authorizations=[f"bEARER {world.tokens['team-a-drive']}"]),
            "a certificate": dict(certificate=world.certificates["worker"]),
        }.items():
            with self.subTest(name):
                client = world.caller(**options)
                session = client.create("averager", prime=True).session.session_id
                self.assertEqual(client.send(session, 7).value, 7)
                self.assertEqual(drive(client, sends(session, 9))[0].value, 8)
                self.assertEqual(self.admin.get(session).steps, 3)

    def test_bad_ones(self):
        session = self.admin.create("averager", prime=True).session.session_id
        before = self.admin.get(session)
        bad = bad_tokens()
        self.assertGreaterEqual(len(bad), 30)
        client = world.caller()
        for name, (authorizations, problem) in bad.items():
            client.use(*authorizations)
            for call in (lambda: client.get(session), lambda: client.send(session, 1), lambda: drive(client, sends(session, 1))):
                with self.subTest(name):
                    refusal = refused(call)
                    expected = {"problem": problem} if problem else {}
                    self.assert_unauthenticated(refusal, "CREDENTIALS_INVALID" if problem else "CREDENTIALS_MISSING", **expected)
                    for value in authorizations:
                        self.assertNotIn(value.partition(" ")[2] or "nothing", refusal.message)
        self.assertEqual(self.admin.get(session), before)

    def test_a_bad_token_is_not_made_up_for_by_a_certificate(self):
        client = world.caller(token="team-a-drive.wrong", certificate=world.certificates["worker"])
        self.assert_unauthenticated(refused(client.list), "CREDENTIALS_INVALID", problem="unknown")

    def test_a_token_says_more_than_a_certificate(self):
        client = world.caller(token=world.tokens["team-b-drive"], certificate=world.certificates["worker"])
        session = client.create("averager").session.session_id
        self.assertEqual(refused(self.admin.get, session).reason, "SESSION_NOT_FOUND")

    def test_a_certificate_that_nobody_has(self):
        client = world.caller(certificate=world.certificates["unknown"])
        self.assert_unauthenticated(refused(client.list), "CREDENTIALS_INVALID")


@contextlib.contextmanager
def handshake(server, version=None):
    """A connection with TLS of that version alone."""
    context = ssl.create_default_context(cafile=world.ca.path)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    if version:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one is old
            context.minimum_version = context.maximum_version = version
    host, port = server.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain, server_hostname=host) as connection:
        yield connection


class MutualTlsTest(AccessTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.required = world.start(*world.mutual("require"))
        cls.addClassCleanup(cls.required.stop)

    def caller(self, certificate=None, **options):
        return world.caller(server=self.required, certificate=world.certificates.get(certificate), **options)

    def assert_no_connection(self, client):
        refusal = refused(client.list)
        self.assertEqual((refusal.code, refusal.reason), (grpc.StatusCode.UNAVAILABLE, ""))

    def test_who_shows_no_certificate_is_not_let_in(self):
        self.assert_no_connection(self.caller())
        self.assert_no_connection(self.caller(token=world.tokens["team-a-admin"]))

    def test_who_shows_one_of_another_authority_is_not_let_in(self):
        self.assert_no_connection(self.caller("foreign"))
        self.assert_no_connection(world.caller(certificate=world.certificates["foreign"]))  # also where none is required

    def test_who_shows_one_that_nobody_has_may_do_nothing(self):
        self.assert_unauthenticated(refused(self.caller("unknown").list), "CREDENTIALS_INVALID")

    def test_who_shows_his_own_may_do_what_is_his(self):
        client = self.caller("worker")
        client.create("averager", "of-the-worker", prime=True)
        self.assertEqual(client.send("of-the-worker", 3).value, 3)
        self.assert_refused(refused(define, client, "no"), "ROLE_INSUFFICIENT", grpc.StatusCode.PERMISSION_DENIED)

    def test_a_client_does_not_take_a_server_of_another_authority(self):
        self.assert_no_connection(self.caller("worker", ca=world.other_ca.path))

    def test_nobody_speaks_without_tls(self):
        client = self.required.client()
        self.assert_no_connection(client)

    def test_old_versions_of_tls_are_refused(self):
        for version, is_spoken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
            with self.subTest(version=version):
                if is_spoken:
                    with handshake(world.server, version) as connection:
                        self.assertEqual(connection.version(), "TLSv1.2")
                else:
                    self.assertRaises(OSError, handshake(world.server, version).__enter__)


class OwnFilesTest(AccessTest):
    """Each test has a server of its own, with files of its own."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.files = {}
        for name in ("identities", "jwks", "limits", "certificate", "key", "client_ca"):
            self.files[name] = os.path.join(self.directory, name)
        certificate, key = map(made.read, world.server_files)
        self.ada, self.line = made.static_token("ada", "team-a", DRIVE)
        self.put(identities=f"{self.line}\nworker team-a drive certificate:worker.example\n", limits="",
                 jwks=made.key_set(world.keys["ES256"]), certificate=certificate, key=key,
                 client_ca=made.read(world.ca.path))

    def start(self, *flags, **options):
        self.server = testing.Server(
            testing.binary("COROD_BIN"), *world.tls((self.files["certificate"], self.files["key"])), "--identities",
            self.files["identities"], *world.issuer(self.files["jwks"]), "--limits", self.files["limits"],
            *world.mutual("optional", self.files["client_ca"]), *flags, **options)
        self.addCleanup(self.server.stop)

    def put(self, **files):
        for name, text in files.items():
            made.replace(self.files[name], text)

    def caller(self, token=None, **options):
        return world.caller(token, server=self.server, **options)


class ChangesTest(OwnFilesTest):
    """Files that change while the server runs."""

    def setUp(self):
        super().setUp()
        self.start(log_level="info")

    def certificate(self):
        """The one that a new connection is shown."""
        with handshake(self.server) as connection:
            return connection.getpeercert(binary_form=True)

    def test_all_of_them(self):
        old = self.caller(self.ada)
        by_key = self.caller(made.token(world.keys["ES256"]))
        by_new_key = self.caller(made.token(world.keys["RS256"]))
        eve, eves_line = made.static_token("eve", "team-a", DRIVE)
        new = self.caller(eve)
        old.create("averager", "kept", prime=True)
        self.assertIsNone(self.reason(by_key.list))
        for client in (by_new_key, new):
            self.assertEqual(self.reason(client.list), "CREDENTIALS_INVALID")
        was = self.certificate()

        # What will not do changes nothing.
        self.put(identities="ada team-a root", jwks="{}", limits="team-a sessions=many", certificate="none")
        for name in ("identities", "jwks", "limits", "certificate"):
            testing.eventually(lambda: re.search(f"error.*{re.escape(self.files[name])}", self.server.stderr(), re.IGNORECASE),
                               f"the log tells of {name}")
        for client in (old, by_key):
            self.assertIsNone(self.reason(client.list))
        self.assertEqual(self.certificate(), was, "a damaged one is not served")

        certificate, key = map(made.read, world.ca.certify("renewed", "DNS:localhost,IP:127.0.0.1"))
        self.put(key=key, certificate=certificate, identities=eves_line, jwks=made.key_set(world.keys["RS256"]),
                 limits="team-a sessions=1")
        testing.eventually(lambda: self.reason(old.list) == "CREDENTIALS_INVALID", "the token is revoked")
        testing.eventually(lambda: self.reason(by_key.list) == "CREDENTIALS_INVALID", "the key is revoked")
        for client in (new, by_new_key):
            testing.eventually(lambda: self.reason(client.list) is None, "there is a new one")
        testing.eventually(lambda: self.reason(new.create, "averager") == "TOO_MANY_SESSIONS", "there is a limit")
        testing.eventually(lambda: self.certificate() != was, "the certificate is renewed")
        self.assertIsNone(self.reason(self.caller(eve).get, "kept"))

        self.put(limits="")
        testing.eventually(lambda: self.reason(new.create, "averager") is None, "there is no limit")

        # One after the other: while they do not fit, what was there before is served.
        was = self.certificate()
        certificate, key = map(made.read, world.ca.certify("renewed", "DNS:localhost,IP:127.0.0.1"))
        told = self.server.stderr().count("is not the key of")
        self.put(key=key)
        testing.eventually(lambda: self.server.stderr().count("is not the key of") > told, "the log tells of the key")
        self.assertEqual(self.certificate(), was)
        self.put(certificate=certificate)
        testing.eventually(lambda: self.certificate() != was, "the certificate is renewed")

    def test_the_authority_of_clients(self):
        def can_connect(name):
            """Whether a new connection with that certificate is let in."""
            client = self.caller(certificate=world.certificates[name])
            try:
                client.list()
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                return False
            finally:
                client.disconnect()
            return True

        self.assertTrue(can_connect("worker"))
        self.assertFalse(can_connect("foreign"))
        self.put(client_ca=made.read(world.other_ca.path))
        testing.eventually(lambda: not can_connect("worker"), "the old authority is not trusted any more")
        self.assertTrue(can_connect("foreign"))

    def test_streams_end_with_the_credentials_that_they_began_with(self):
        ada = self.caller(self.ada)
        eve, eves_line = made.static_token("eve", "team-a", DRIVE)
        self.put(identities="\n".join([self.line, eves_line, "worker team-a observe certificate:worker.example"]))
        testing.eventually(lambda: self.reason(self.caller(eve).list) is None, "eve is known")
        ada.create("averager", "watched", prime=True)
        watch = ada.stub.Watch(pb.WatchRequest(session_id="watched"), timeout=testing.CALL_SECONDS)
        list(watch.initial_metadata())
        driving = queue.Queue()
        drive = ada.stub.Drive(iter(driving.get, None), timeout=testing.CALL_SECONDS)
        driving.put(pb.DriveRequest(commands=[sends("watched", 1.0)]))
        self.assertEqual(testing.reply_of(next(drive).replies[0]).value, 1.0)
        self.assertEqual(next(watch).event.step, 2)
        by_certificate = self.caller(certificate=world.certificates["worker"]).stub.Watch(
            pb.WatchRequest(session_id="watched"), timeout=testing.CALL_SECONDS)
        list(by_certificate.initial_metadata())
        eves = self.caller(eve).stub.Watch(pb.WatchRequest(session_id="watched"), timeout=testing.CALL_SECONDS)
        list(eves.initial_metadata())

        # A command line that goes on with the token that is in its file then.
        token_file = os.path.join(self.directory, "token")
        made.replace(token_file, self.ada)
        with subprocess.Popen([testing.binary("COROCTL"), "--server", self.server.address, "--tls-ca", world.ca.path, "--token-file",
                               token_file, "pipe", "averager"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              bufsize=1) as pipe:
            self.addCleanup(pipe.kill)
            pipe.stdin.write("1\n")
            self.assertEqual(pipe.stdout.readline(), "1.0\n")
            made.replace(token_file, eve)
            self.put(identities=eves_line)
            for stream, metadata in (watch, {"resume_step": "3"}), (drive, {}), (by_certificate, {"resume_step": "3"}):
                self.assert_refused(refused(lambda: list(stream)), "CREDENTIALS_ENDED", grpc.StatusCode.UNAVAILABLE, **metadata)
            driving.put(None)
            testing.eventually(lambda: self.server.stderr().count("who began it may not go on with it") == 4, "the log tells of each")
            pipe.stdin.write("2\n")
            self.assertEqual(pipe.stdout.readline(), "1.5\n")
            pipe.stdin.close()
            self.assertEqual(pipe.wait(timeout=testing.CALL_SECONDS), 0)
        self.assertEqual(self.reason(ada.list), "CREDENTIALS_INVALID")
        self.caller(eve).send("watched", 2.0)
        self.assertEqual(next(eves).event.step, 3, "hers goes on")


class AuditTest(OwnFilesTest):
    """Whatever an operator does has one line of the area `audit`, and nothing else has any."""

    def setUp(self):
        super().setUp()
        self.ops, line = made.static_token("ops", "team-a", ADMIN)
        self.put(identities=f"{self.line}\n{line}\n")
        self.start("--log-format", "json", data_dir=os.path.join(self.directory, "data"),
                   log_level="warning,audit=info")

    def lines(self):
        logged = [json.loads(line) for line in self.server.stderr().splitlines()]
        return [{key: value for key, value in line.items() if key not in ("time", "area", "bytes")} for line in logged
                if line["area"] == "audit"]

    def test_what_somebody_does_says_who(self):
        ops, ada = self.caller(self.ops), self.caller(self.ada)
        copy = os.path.join(self.directory, "copy")
        define(ops, "ones")
        ops.create("ones", "a", prime=True)
        load(ada, export(ada, "a"), "b")
        ops.delete("a")
        undefine(ops, "ones")
        for _, call in RPCS["AdminService"].values():
            self.assertEqual(self.reason(call, ada, nowhere=copy), "ROLE_INSUFFICIENT")
        self.assertEqual(self.reason(define, ada, "twos"), "ROLE_INSUFFICIENT")
        ops.admin.GetLogLevels(admin_pb.GetLogLevelsRequest())
        for area in "journal", "":
            ops.admin.SetLogLevel(admin_pb.SetLogLevelRequest(area=area, level="info"))
        ops.admin.Backup(admin_pb.BackupRequest(directory=copy))
        self.assertEqual(self.lines(), [{"level": "info", "message": what, "who": who, **of} for what, who, of in (
            ("coroutine defined", "ops", {"namespace": "team-a", "coroutine": "ones", "version": 1}),
            ("session imported", "ada", {"namespace": "team-a", "session_id": "b"}),
            ("coroutine deleted", "ops", {"namespace": "team-a", "coroutine": "ones"}),
            ("log level set", "ops", {"of": "journal", "to": "info"}),
            ("log level set", "ops", {"of": "all", "to": "info"}),
            ("backup made", "ops", {"directory": copy, "sessions": 1}))])

    def test_what_is_read_again_names_the_file(self):
        """Those of TLS go by the name of the certificate."""
        self.put(identities=self.line, jwks=made.key_set(world.keys["RS256"]), limits="team-a sessions=1",
                 client_ca=made.read(world.other_ca.path))
        good = testing.eventually(lambda: len(lines := self.lines()) == 4 and lines, "all are read again")
        self.put(identities="ada team-a root", jwks="{}", limits="team-a sessions=many", certificate="none")
        bad = testing.eventually(lambda: len(lines := self.lines()) == 8 and lines, "none can be used")[4:]
        for lines, level, words in (good, "info", "read again"), (bad, "error", "before"):
            for name in "identities", "jwks", "limits", "certificate":
                with self.subTest(level=level, name=name):
                    line, = [line for line in lines if self.files[name] in str(line)]
                    self.assertEqual(line["level"], level)
                    self.assertIn(words, line["message"])


class ExposureTest(AccessTest):
    def run_corod(self, *flags):
        return subprocess.run([testing.binary("COROD_BIN"), "--listen", "0.0.0.0:0", "--journal", "memory", *flags],
                              capture_output=True, text=True, timeout=testing.CALL_SECONDS)

    def test_who_can_be_reached_encrypts_and_asks_who_calls(self):
        tls, identities = world.tls(), ("--identities", world.identities)
        for flags, missing in (((), "--tls-cert and --tls-key, and --identities or --jwks"), (tls, "--identities or --jwks"),
                               (identities, "--tls-cert and --tls-key")):
            with self.subTest(flags=flags):
                done = self.run_corod(*flags)
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)
                self.assertIn("--insecure", done.stderr)
                self.assertIn(missing, done.stderr)
        for flags in (("--insecure",), (*tls, *identities)):
            with self.subTest(flags=flags):
                testing.Server(testing.binary("COROD_BIN"), *flags, listen="0.0.0.0:0").stop()

    def test_files_that_will_not_do(self):
        certificate, key = world.server_files
        other_key = world.ca.key.path
        empty = world.put("empty", "")
        for flags, named in ((("--tls-cert", certificate, "--tls-key", other_key), other_key),
                             (("--tls-cert", key, "--tls-key", key), key),
                             (("--tls-cert", certificate, "--tls-key", certificate), certificate),
                             ((*world.tls(), "--tls-client-ca", key), key),
                             (("--identities", empty), empty), (world.issuer(empty), empty),
                             (("--limits", certificate), certificate)):
            with self.subTest(flags=flags):
                done = self.run_corod("--insecure", *flags)
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)
                self.assertIn(named, done.stderr)


class LimitsTest(AccessTest):
    def assert_waiting_helps(self, refusal, reason, **metadata):
        self.assert_refused(refusal, reason, grpc.StatusCode.RESOURCE_EXHAUSTED, **metadata)
        self.assertGreater(refusal.retry_seconds, 0)

    def test_too_many_sessions_speaks_of_the_own_ones(self):
        client = world.of("few-sessions")
        for number in range(2):
            client.create("averager", f"s{number}")
        for call in (lambda: client.create("averager"), lambda: fork(client, "s0"),
                     lambda: load(client, export(client, "s0"), "s2")):
            refusal = refused(call)
            self.assert_waiting_helps(refusal, "TOO_MANY_SESSIONS", max_sessions="2", namespace="few-sessions")
            self.assertEqual(re.findall(r"\d+", refusal.message), ["2"])
        self.assertEqual(drive(client, creates("averager"))[0].reason, "TOO_MANY_SESSIONS")
        self.admin.create("averager")
        client.delete("s0")
        client.create("averager", "s0")

    def test_rate_limited(self):
        client = world.of("few-commands")
        client.create("averager", "slow")

        def refusal_of_many(call):
            for _ in range(100):
                try:
                    answer = call()
                except grpc.RpcError as error:
                    return testing.refusal_of(error)
                if isinstance(answer, testing.Refusal):
                    return answer
            self.fail("a hundred of them were executed at once")

        for call in (lambda: client.next("slow"), lambda: drive(client, sends("slow"))[0]):
            refusal = refusal_of_many(call)
            self.assert_waiting_helps(refusal, "RATE_LIMITED", commands_per_second="2")
            self.assertLessEqual(refusal.retry_seconds, 1)
        steps = client.get("slow").steps
        self.assertEqual(self.admin.create("averager", prime=True).primed.kind, "yielded")

        def is_executed():
            try:
                return client.next("slow").step == steps + 1
            except grpc.RpcError as error:
                return self.assertEqual(testing.refusal_of(error).reason, "RATE_LIMITED")
        testing.eventually(is_executed, "it is allowed a moment later")

    def test_memory_is_limited(self):
        client = world.of("little-memory")
        text = "x" * 10_000
        client.create("batch", "large", {"size": 1_000_000}, prime=True)
        client.create("averager", "small", prime=True)

        def refusal_of_many():
            for _ in range(1_000):
                try:
                    client.send("large", text)
                except grpc.RpcError as error:
                    return testing.refusal_of(error)
            self.fail("ten megabytes were taken")

        self.assert_refused(refusal_of_many(), "MEMORY_LIMIT", grpc.StatusCode.RESOURCE_EXHAUSTED,
                            max_memory_bytes=str(1 << 20), namespace="little-memory", executed="no")
        for call in (lambda: client.send("small", 1.0), lambda: client.create("averager")):
            self.assert_waiting_helps(refused(call), "MEMORY_LIMIT")
        for command in (sends("small"), creates("averager")):
            self.assertEqual(drive(client, command)[0].reason, "MEMORY_LIMIT")
        self.admin.create("averager", prime=True)
        client.delete("large")
        self.assertEqual(client.send("small", 1.0).value, 1.0)

    def test_too_many_streams(self):
        client = world.of("few-streams")
        client.create("averager", "s", prime=True)
        others = self.admin.create("averager", prime=True).session.session_id
        exported = export(self.admin, others)
        watching = client.stub.Watch(pb.WatchRequest(session_id="s"), timeout=testing.CALL_SECONDS)
        list(watching.initial_metadata())
        with testing.DriveCall(client) as driving:
            driving.write(sends("s", 1))
            self.assertEqual(driving.read()[0].value, 1)
            for call in (lambda: watch(client, "s"), lambda: drive(client, sends("s", 3)), lambda: export(client, "s"),
                         lambda: load(client, exported, "copy")):
                self.assert_waiting_helps(refused(call), "TOO_MANY_STREAMS", max_streams="2", namespace="few-streams")
            self.assertEqual(drive(self.admin, sends(others, 1))[0].value, 1)
            driving.finish()
        self.assertEqual(refused(client.get, "copy").reason, "SESSION_NOT_FOUND")
        self.assertEqual(client.get("s").steps, 2)
        testing.eventually(lambda: self.reason(drive, client, sends("s", 3)) is None, "there is room for one")
        self.assertEqual(client.get("s").steps, 3)
        watching.cancel()

    def test_the_journal_is_limited(self):
        client = world.of("little-journal")
        client.create("line_splitter", "durable", prime=True)
        client.create("averager", "ephemeral", prime=True, durability=testing.session_pb2.DURABILITY_EPHEMERAL)
        exported = export(client, "durable")
        line = "x" * 100_000 + "\n"
        for _ in range(10):  # more than a segment of the write-ahead log: what is in one alone is not measured
            drive(client, *[sends("durable", line)] * 10)
        testing.eventually(lambda: self.reason(client.send, "durable", "\n") == "JOURNAL_LIMIT", "it is measured")
        steps = client.get("durable").steps
        calls = (lambda: client.send("durable", "\n"), lambda: client.create("averager"),
                 lambda: fork(client, "durable"), lambda: load(client, exported, "copy"))
        for refusal in [*map(refused, calls), *drive(client, sends("durable", "\n"))]:
            self.assert_waiting_helps(refusal, "JOURNAL_LIMIT", namespace="little-journal",
                                      max_journal_bytes=str(64 << 10))
        self.assertEqual(client.get("durable").steps, steps)
        self.assertEqual(client.send("ephemeral", 1).value, 1)
        self.admin.create("averager", prime=True)
        client.delete("durable")

    def test_definitions_are_limited(self):
        client = world.of("few-definitions")
        define(client, "one")
        define(client, "one", SCRIPT + " ")
        self.assert_refused(refused(define, client, "two"), "TOO_MANY_DEFINITIONS", grpc.StatusCode.RESOURCE_EXHAUSTED,
                            namespace="few-definitions", max_definitions="2", coroutine="two")
        undefine(client, "one")
        self.assertEqual(refused(define, client, "two").reason, "TOO_MANY_DEFINITIONS", "versions are kept for those that run them")
        define(self.admin, "two")


class CoroctlTest(AccessTest):
    """The command line against the same server."""

    def coroctl(self, *arguments, token="team-a-admin", server=None, ca=None, **environment):
        flags = ["--server", server or world.server.address, *(["--tls-ca", ca or world.ca.path] if ca != "" else [])]
        if token:
            flags += ["--token-file", world.put(f"token-{token}", world.tokens[token] + "\n")]
        return self.run_coroctl(*flags, *arguments, **environment)

    def run_coroctl(self, *arguments, **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("COROD_T")}
        return subprocess.run([testing.binary("COROCTL"), *arguments], capture_output=True, text=True, input="",
                              env=clean | environment, timeout=testing.CALL_SECONDS)

    def good(self, *arguments, **options):
        done = self.coroctl(*arguments, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return done.stdout

    def bad(self, status, *arguments, **options):
        """The one line."""
        done = self.coroctl(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (status, "", 1), done.stderr)
        return done.stderr

    def test_drives_with_a_token(self):
        self.good("create", "averager", "--prime", "--id", "by-coroctl", token="team-a-drive")
        self.assertEqual(self.good("send", "by-coroctl", "5", token="team-a-drive"), "5.0\n")
        self.assertIn("by-coroctl", self.good("list"))
        self.assertIn("SESSION_NOT_FOUND", self.bad(3, "get", "by-coroctl", token="team-b-drive"))
        self.assertIn("ROLE_INSUFFICIENT", self.bad(3, "undefine", "x", token="team-a-drive"))
        self.assertIn("CREDENTIALS_MISSING", self.bad(3, "list", token=None))
        self.assertIn("averager", self.good("bench", "--sessions", "20", "--duration", "100ms", token="team-a-drive"))
        self.good("bench", "--mode", "drive", "--sessions", "20", "--duration", "100ms", token="team-a-drive")

    def test_a_certificate_stands_for_a_token(self):
        certificate, key = world.certificates["worker"]
        self.good("--tls-cert", certificate, "--tls-key", key, "list", token=None)
        self.assertIn("CREDENTIALS_INVALID", self.bad(3, "--tls-cert", world.certificates["unknown"][0], "--tls-key",
                                                      world.certificates["unknown"][1], "list", token=None))

    def test_the_environment_stands_for_flags(self):
        token = world.put("token-in-environment", world.tokens["team-a-observe"])
        done = self.run_coroctl("list", "--limit", "1", COROD_SERVER=world.server.address, COROD_TLS_CA=world.ca.path,
                                COROD_TOKEN_FILE=token)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_servers_that_are_not_trusted(self):
        line = self.bad(3, "list", ca=world.other_ca.path)
        self.assertIn("UNAVAILABLE", line)
        self.assertIn("UNAVAILABLE", self.bad(3, "--tls", "list", ca=""))
        self.assertIn("UNAVAILABLE", self.bad(3, "--tls-server-name", "other.example", "list"))
        self.good("--tls-server-name", "localhost", "list")

    def test_files_that_will_not_do(self):
        certificate, key = world.certificates["worker"]
        empty = world.put("empty", " \n")
        for flags, named in ((("--tls-ca", "/no/such"), "/no/such: it cannot be read: No such file or directory"),
                             (("--tls-ca", key), f"{key}: it holds no certificate"),
                             (("--tls-cert", certificate, "--tls-key", world.ca.key.path), "it is not the key of"),
                             (("--tls-cert", certificate, "--tls-key", certificate), "holds no private key"),
                             (("--tls-cert", certificate), "--tls-key"),
                             (("--tls", "--token-file", "/no/such"), "/no/such: it cannot be read"),
                             (("--tls", "--token-file", empty), f"{empty}: it holds no token"),
                             (("--tls", "--token-file", certificate), "it holds more than a token")):
            with self.subTest(flags=flags):
                done = self.run_coroctl("--server", world.server.address, *flags, "list")
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), done.stderr)
                self.assertIn(named, done.stderr)

    def test_a_token_is_not_sent_where_others_could_read_it(self):
        line = self.bad(2, "list", server="corod.example:7117", ca="")
        self.assertIn("without TLS", line)
        self.assertIn("--tls", line)

    def test_health_needs_no_token(self):
        self.assertEqual(self.good("health", token=None), "SERVING\n")
        self.assertEqual(self.good("--output", "json", "health"), '{"status": "SERVING"}\n')
        self.assertEqual(self.bad(1, "health", "--service", "no.Such", token=None),
                         "coroctl: the server tells nothing of a service no.Such\n")
        self.assertIn("is corod running", self.bad(1, "health", server="127.0.0.1:1", token=None))

    def test_log_levels(self):
        self.assertEqual(self.good("log-level", "journal"), "journal  trace\n")
        self.assertEqual(self.good("log-level", "journal", "debug"), "journal  debug\n")
        self.assertEqual(self.good("--output", "json", "log-level", "journal"), '{"area": "journal", "level": "debug"}\n')
        self.assertRegex(self.good("log-level", "all", "trace"), r"^(\w+ +trace\n){6,}$")
        self.assertIn("there is no area nowhere; there are server, ", self.bad(2, "log-level", "nowhere"))
        self.assertIn("INVALID_ARGUMENTS", self.bad(3, "log-level", "journal", "loud"))
        self.assertIn("ROLE_INSUFFICIENT", self.bad(3, "log-level", token="team-a-define"))
        self.assertIn("journal", self.good("log-level", server=f"unix:{world.directory}/data/admin.sock", token=None))

    def test_it_waits_where_the_rate_is_limited(self):
        self.good("create", "averager", "--id", "patient", "--prime", token="few-commands")
        for number in range(4):
            self.good("send", "patient", str(number), token="few-commands")


class SecretsTest(AccessTest):
    def test_they_are_nowhere_to_be_read(self):
        """Of calls with good and bad credentials, at the level trace."""
        client = world.caller()
        self.admin.admin.SetLogLevel(admin_pb.SetLogLevelRequest(level="trace"))
        good = made.token(world.keys["ES256"])
        bad = [authorizations for authorizations, _ in bad_tokens().values()]
        told = world.server.stderr().count("CREDENTIALS_INVALID")
        for authorizations in [[f"Bearer {good}"], *([f"Bearer {token}"] for token in world.tokens.values()), *bad]:
            with contextlib.suppress(grpc.RpcError):
                client.use(*authorizations).list()
        secrets = [token.partition(".")[2] for token in world.tokens.values()] + [part for part in good.split(".")[1:]]
        words = " ".join(itertools.chain(*bad)).split()
        secrets += [part for word in words for part in (word, *word.split(".")[1:]) if len(part) > 16]
        secrets += ["PRIVATE KEY", made.read(world.server_files[1]).decode().splitlines()[1]]
        secrets += [line.split()[-1].split(":")[-1] for line in made.read(world.identities).decode().splitlines()[1:]]
        log = world.server.stderr()
        port = int(re.search(r'serving metrics.*port["=: ]+(\d+)', log)[1])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=testing.CALL_SECONDS) as answer:
            metrics = answer.read().decode()
        self.assertIn("team-a-admin", log)
        self.assertGreater(log.count("CREDENTIALS_INVALID"), told + 30, "refusals are told of")
        self.assertRegex(log, r"reason=CREDENTIALS_INVALID .*peer=\S*127\.0\.0\.1:\d+", "and where they came from")
        self.assertIn("corod_", metrics)
        for place, text in {"the log": log, "the metrics": metrics, "ps": world.server.command_line()}.items():
            self.assertGreater(len(text), 100, place)
            for secret in secrets:
                self.assertNotIn(secret, text, place)


if __name__ == "__main__":
    unittest.main()
