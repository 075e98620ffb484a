#!/usr/bin/env bash
# gRPC checks the certificates of all addresses of a list against the list's own text, as one name.
#
# Guess: a channel to "ipv4:address:port,address:port" over TLS checks each server's certificate
# against the address that it is connected to, as a channel to one address does, so that replicas
# with certificates of their IP addresses can be listed.
# Seen with grpcio 1.85.1 (2026-12): with one address the certificate's IP address is checked and the
# call is answered; with two of the same server no connection is ever made, because no certificate has
# the name "127.0.0.1:1111,127.0.0.1:2222". Nothing is refused when the channel is opened: each call
# is UNAVAILABLE, and goes through once a name is given for all (grpc.ssl_target_name_override).
#
#   one address: answered
#   a list of two: UNAVAILABLE
#   a list of two, one name given for all: answered
#
# Here: runtime/service_target.py refuses lists over TLS when a service starts, and says to use
# dns:///name:port (tests/runtime/test_service_target.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1 cryptography==50.0.2
cat > "$folder/run.py" <<'PY'
import datetime
import ipaddress
import sys
from concurrent import futures

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATIENCE_SECONDS = 5
NAME = "ledger.internal"


def certificate():
    """A key and a certificate of its own for 127.0.0.1 and a name, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(NAME)]
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret, made.public_bytes(serialization.Encoding.PEM)


class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


def answer(target, root, **options):
    """What a call comes to."""
    credentials = grpc.ssl_channel_credentials(root_certificates=root)
    with grpc.secure_channel(target, credentials, options=list(options.items())) as channel:
        try:
            channel.unary_unary("/echo/Echo")(b"x", timeout=PATIENCE_SECONDS)
        except grpc.RpcError as error:
            return error.code().name
        return "answered"


key, root = certificate()
ports = []
servers = []
for _ in range(2):
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Echo()])
    ports.append(server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, root)])))
    server.start()
    servers.append(server)
one = f"ipv4:127.0.0.1:{ports[0]}"
both = f"{one},127.0.0.1:{ports[1]}"
seen = [
    answer(one, root),
    answer(both, root),
    answer(both, root, **{"grpc.ssl_target_name_override": NAME}),
]
for what, said in zip(
    ("one address", "a list of two", "a list of two, one name given for all"), seen, strict=True
):
    print(f"{what}: {said}")
for server in servers:
    server.stop(None)
sys.exit(seen != ["answered", "UNAVAILABLE", "answered"])
PY
"$folder/env/bin/python" "$folder/run.py"
