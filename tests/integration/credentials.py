"""Keys, certificates and tokens for the tests, made with the command openssl, and connections that show them."""
import base64
import collections
import json
import os
import re
import ssl
import subprocess
import time

import grpc

import corod_testing as testing
from corod.v1 import admin_service_pb2_grpc

ISSUER, AUDIENCE = "https://issuer.example", "corod-test"
HASHES = {"RS256": "-sha256", "ES256": "-sha256", "RS512": "-sha512"}


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, timeout=testing.CALL_SECONDS)
    if done.returncode:
        raise AssertionError(f"openssl {arguments}: {done.stderr.decode()}")
    return done.stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A private key in a file."""

    KINDS = {"RS256": ("RSA", "rsa_keygen_bits:2048"), "ES256": ("EC", "ec_paramgen_curve:P-256"), "EdDSA": ("ED25519", None)}

    def __init__(self, directory, name, algorithm="ES256"):
        self.name, self.algorithm = name, algorithm
        self.path = os.path.join(directory, f"{name}.key")
        kind, option = self.KINDS[algorithm]
        openssl("genpkey", "-algorithm", kind, *(("-pkeyopt", option) if option else ()), "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    def public_pem(self):
        return openssl("pkey", "-in", self.path, "-pubout")

    def jwk(self):
        """The public half, by this name."""
        jwk = {"kid": self.name, "alg": self.algorithm, "use": "sig"}
        if self.algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
            jwk |= {"kty": "RSA", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB"}
        elif self.algorithm == "ES256":
            jwk |= {"kty": "EC", "crv": "P-256", "x": base64url(self.public[-64:-32]), "y": base64url(self.public[-32:])}
        else:
            jwk |= {"kty": "OKP", "crv": "Ed25519", "x": base64url(self.public[-32:])}
        return jwk

    def sign(self, data, algorithm=None):
        algorithm = algorithm or self.algorithm
        if algorithm == "EdDSA":
            file = f"{self.path}.signed"  # it is signed in one piece, so not from stdin
            with open(file, "wb") as out:
                out.write(data)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", file)
        return openssl("dgst", HASHES[algorithm], "-sign", self.path, data=data)


def plain_signature(der):
    """The two numbers of a curve's signature, as a token has them."""
    first = 4 + der[3]
    numbers = der[4:first], der[first + 2:]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in numbers)


def joined(header, claims):
    return ".".join(base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims))


def signed(key, header, claims, der=False):
    text = joined(header, claims)
    algorithm = header.get("alg") if isinstance(header, dict) else None
    signature = key.sign(text.encode(), algorithm if algorithm in HASHES else None)
    if key.algorithm == "ES256" and not der:
        signature = plain_signature(signature)
    return f"{text}.{base64url(signature)}"


def claims(**changed):
    """Those of a good token, for an hour; what is changed to None is left out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "namespace": "team-a", "role": "drive", "iat": now,
            "exp": now + 3600}
    return {name: value for name, value in (good | changed).items() if value is not None}


def token(key, **changed):
    return signed(key, {"alg": key.algorithm, "kid": key.name, "typ": "JWT"}, claims(**changed))


def key_set(*keys):
    return json.dumps({"keys": [key.jwk() for key in keys]})


def static_token(name, name_space, role):
    """The token, and its line of the identities file, as `corod token` makes them."""
    made = subprocess.run([testing.binary("COROD_BIN"), "token", name, name_space, role], capture_output=True, text=True,
                          timeout=testing.CALL_SECONDS)
    if made.returncode:
        raise AssertionError(made.stderr)
    comment, line = made.stderr.splitlines()
    if not re.fullmatch(rf"{name}\.\S+\n", made.stdout) or not comment.startswith("# "):
        raise AssertionError(f"corod token said {made.stdout!r} and {made.stderr!r}")
    return made.stdout.strip(), line


class Authority:
    """A CA of a name, which makes certificates."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.key = Key(directory, name)
        self.path = os.path.join(directory, f"{name}.crt")
        openssl("req", "-x509", "-key", self.key.path, "-days", "2", "-subj", f"/CN={name}", "-out", self.path,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def certify(self, name, alternative=None, key=None, days=2):
        """The files of a certificate and its key."""
        key = key or Key(self.directory, name)
        request, path = (os.path.join(self.directory, f"{name}.{suffix}") for suffix in ("csr", "crt"))
        extensions = ("-addext", f"subjectAltName={alternative}") if alternative else ()
        openssl("req", "-new", "-key", key.path, "-subj", f"/CN={name}", "-out", request, *extensions)
        openssl("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self.key.path, "-CAcreateserial",
                "-days", str(days), "-copy_extensions", "copy", "-out", path)
        return path, key.path


def expiry(path):
    """When the certificate in that file ends, in seconds since the epoch."""
    end = openssl("x509", "-in", path, "-noout", "-enddate").decode().strip().removeprefix("notAfter=")
    return ssl.cert_time_to_seconds(end)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def replace(path, text):
    """Puts another file into its place, as a tool that renews it would."""
    with open(f"{path}.new", "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    os.replace(f"{path}.new", path)


_CallDetails = collections.namedtuple("_CallDetails", "method timeout metadata credentials wait_for_ready compression")


class _Metadata(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor,
                grpc.StreamStreamClientInterceptor):
    """Adds metadata to each call."""

    def __init__(self, metadata):
        self._metadata = metadata

    def _intercept(self, continuation, details, request):
        metadata = [*(details.metadata or ()), *self._metadata]
        return continuation(_CallDetails(details.method, details.timeout, metadata, details.credentials,
                                         details.wait_for_ready, details.compression), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _intercept


class Caller(testing.Client):
    """A connection over TLS whose calls name the caller: by a token, by whatever is in `authorizations`, by a certificate."""

    def __init__(self, address, ca, token=None, authorizations=(), certificate=None):
        chain, key = map(read, certificate) if certificate else (None, None)
        credentials = grpc.ssl_channel_credentials(ca and read(ca), key, chain)
        self.secure = grpc.secure_channel(address, credentials, options=testing.LOCAL_POOL)
        self.use(*([f"Bearer {token}"] if token else authorizations))

    def use(self, *authorizations):
        """Says something else of who calls, over the same connection."""
        metadata = [("authorization", value) for value in authorizations]
        super().__init__(None, grpc.intercept_channel(self.secure, _Metadata(metadata)))
        self.admin = admin_service_pb2_grpc.AdminServiceStub(self.channel)
        return self

    def disconnect(self):
        self.secure.close()
