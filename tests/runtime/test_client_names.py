"""Which names in a certificate count: over a real socket, with real certificates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from runtime.errors import ReceivedError, from_rpc_error
from runtime.rights import Rights
from sandbox.certificates import CertificateFiles, make_certificates
from tests.runtime.echo import ECHO_RIGHTS, EchoSettings, pb, running_echo, services

CALL_SECONDS = 20


class NamedEchoSettings(EchoSettings):
    rights: ClassVar[Rights] = ECHO_RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = {
        "operator": "operator",
        "till.shop.example": "client",
        "help.shop.example": "support",
    }


class Door:
    """A server with mutual TLS, and the authority of those who call it."""

    def __init__(self, port: int, files: CertificateFiles) -> None:
        self._port = port
        self._files = files

    def certificate(
        self, alternatives: Sequence[x509.GeneralName], common_name: str = "nobody"
    ) -> tuple[bytes, bytes]:
        """A key and a certificate of the authority with these subject alternative names."""
        authority = x509.load_pem_x509_certificate(self._files.ca.read_bytes())
        ca_key = load_pem_private_key(self._files.ca.with_suffix(".key").read_bytes(), None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(minutes=5))
            .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        )
        if alternatives:
            names = x509.SubjectAlternativeName(alternatives)
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(ca_key, SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private, signed.public_bytes(Encoding.PEM)

    @asynccontextmanager
    async def stub(
        self, alternatives: Sequence[x509.GeneralName], common_name: str = "nobody"
    ) -> AsyncIterator[Any]:
        """The service, as the holder of such a certificate calls it."""
        key, certificate = self.certificate(alternatives, common_name)
        credentials = grpc.ssl_channel_credentials(self._files.ca.read_bytes(), key, certificate)
        address = f"localhost:{self._port}"
        async with grpc.aio.secure_channel(address, credentials) as channel:
            yield services.EchoServiceStub(channel)


@pytest.fixture(scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    directory: Path = tmp_path_factory.mktemp("certificates")
    files = make_certificates(directory, datetime.now(UTC), ["server"])["server"]
    settings = NamedEchoSettings(
        tls_certificate_file=files.certificate, tls_key_file=files.key, tls_ca_file=files.ca
    )
    async with running_echo(settings) as server:
        yield Door(server.port, files)


def echo(stub: Any) -> Any:
    return stub.Echo(pb.EchoRequest(request_id="a", text="b"), timeout=CALL_SECONDS)


async def refusal(call: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


@pytest.mark.parametrize(
    ("alternatives", "common_name"),
    [
        ([x509.UniformResourceIdentifier("operator")], "nobody"),
        ([x509.RFC822Name("operator")], "nobody"),
        ([x509.RFC822Name("till.shop.example")], "nobody"),
        ([x509.IPAddress(IPv4Address("127.0.0.1"))], "nobody"),
        (
            [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")]))],
            "nobody",
        ),
        ([], "operator"),
    ],
    ids=["URI", "e-mail", "e-mail like a host", "IP", "directory name", "common name"],
)
async def test_a_certificate_without_a_dns_name_has_no_name(
    door: Door, alternatives: list[x509.GeneralName], common_name: str
) -> None:
    async with door.stub(alternatives, common_name) as stub:
        error = await refusal(echo(stub))
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "UNAUTHENTICATED",
        )
        # Streams are asked for it, too.
        assert (await refusal(stub.Count(pb.CountRequest(up_to=1)).read())).reason == error.reason


@pytest.mark.parametrize(
    "name",
    ["operator.evil.example", "evil.operator", "*", "operator.", "op"],
)
async def test_other_kinds_add_nothing_to_a_dns_name_and_only_the_whole_name_counts(
    door: Door, name: str
) -> None:
    mixed = [
        x509.UniformResourceIdentifier("operator"),
        x509.RFC822Name("operator"),
        x509.DNSName(name),
    ]
    async with door.stub(mixed, "operator") as stub:
        error = await refusal(echo(stub))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CLIENT_NOT_ALLOWED")
    assert error.metadata["method"] == "echo.v1.EchoService/Echo"
    assert error.metadata["client"] != "operator"
    assert "no name in this client's certificate has a role" in error.message


async def test_the_first_name_that_may_call_is_who_did_it(door: Door) -> None:
    both = [x509.DNSName("help.shop.example"), x509.DNSName("TILL.shop.example")]
    async with door.stub([x509.DNSName("localhost"), *both]) as stub:
        # DNS names have no upper case.
        assert (await echo(stub)).client == "till.shop.example"
    async with door.stub(both[:1]) as stub:
        error = await refusal(echo(stub))
        assert error.message == "the role support may not call echo.v1.EchoService/Echo"
        assert error.metadata == {
            "client": "help.shop.example",
            "method": "echo.v1.EchoService/Echo",
            "role": "support",
        }
        assert (await stub.Count(pb.CountRequest(up_to=1)).read()).number == 0
        assert (await refusal(stub.Later(pb.LaterRequest()))).reason == "CLIENT_NOT_ALLOWED"
