"""Who calls, and what they may call: mutual TLS, client names per method.

A client's name is a DNS name in its certificate's subject alternative names, as in
letsencrypt/boulder. In the sandbox, on loopback and without TLS, nobody has a name and
everything may be called.
"""

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import Any

import grpc

from runtime.config import ServiceSettings
from runtime.errors import ErrorDomain

SANDBOX_CLIENT = "sandbox"
OPERATORS = frozenset({"operator"})
_SAN_KEY = "x509_subject_alternative_name"
_client: ContextVar[str] = ContextVar("client", default=SANDBOX_CLIENT)


def client_name() -> str:
    """The name of the client whose call is being served."""
    return _client.get()


class Gatekeeper:
    """Decides whether a client may call a method."""

    def __init__(
        self,
        *,
        uses_tls: bool,
        errors: ErrorDomain,
        allowed: Mapping[str, Mapping[str, Collection[str]]],
    ) -> None:
        """`allowed` is {service full name: {method or "*": client names}}; unlisted is refused."""
        self._uses_tls = uses_tls
        self._errors = errors
        self._allowed = allowed

    def admit(self, context: Any, service: str, method: str) -> bool:
        """Whether the caller is an operator, for whom some room is kept.

        Raises `UNAUTHENTICATED` or `CLIENT_NOT_ALLOWED` unless it may call this.
        """
        if not self._uses_tls:
            return False
        names = [name.decode() for name in context.auth_context().get(_SAN_KEY, ())]
        if not names:
            raise self._errors.runtime_error(
                grpc.StatusCode.UNAUTHENTICATED,
                "UNAUTHENTICATED",
                "the client certificate has no subject alternative name",
            )
        methods = self._allowed.get(service, {})
        allowed = methods.get(method, methods.get("*", ()))
        for name in names:
            if name in allowed:
                _client.set(name)
                return name in OPERATORS
        raise self._errors.runtime_error(
            grpc.StatusCode.PERMISSION_DENIED,
            "CLIENT_NOT_ALLOWED",
            f"this client may not call {service}/{method}",
            metadata={"client": names[0], "method": f"{service}/{method}"},
        )


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials:
    """Mutual TLS: a client without a certificate of our CA gets no connection."""
    certificate, key, ca = _read_files(settings)
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=ca, require_client_auth=True
    )


def channel_credentials(settings: ServiceSettings) -> grpc.ChannelCredentials:
    """What the service shows its peers when it is the client."""
    certificate, key, ca = _read_files(settings)
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _read_files(settings: ServiceSettings) -> tuple[bytes, bytes, bytes]:
    paths = (settings.tls_certificate_file, settings.tls_key_file, settings.tls_ca_file)
    certificate, key, ca = (path.read_bytes() for path in paths if path is not None)
    return certificate, key, ca
