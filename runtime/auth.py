"""Who calls, and what they may call: mutual TLS, DNS names, roles.

A client's name is a DNS name among its certificate's subject alternative names. Neither URIs,
e-mail or IP addresses among them count, nor the common name: an authority may let whoever asks
choose those. In the sandbox, on loopback and without TLS, nobody has a name and everything may be
called.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import grpc
from cryptography import x509

from runtime.config import ServiceSettings
from runtime.errors import ErrorDomain
from runtime.rights import MAX_NAME_CHARACTERS, Bounds, Caller, Rights

SANDBOX_CLIENT = Caller("sandbox")
# gRPC tells the names in it, too, with all kinds mixed; here they are read as they were signed.
_CERTIFICATE = "x509_pem_cert"
# Certificates whose names are remembered: reading one takes a while, and each call shows it.
MAX_CERTIFICATES = 1024
_caller: ContextVar[Caller] = ContextVar("caller", default=SANDBOX_CLIENT)


def caller() -> Caller:
    """Whose call is being served."""
    return _caller.get()


def client_name() -> str:
    """The name of the client whose call is being served."""
    return _caller.get().name


class Gatekeeper:
    """Decides whether a client may call a method."""

    def __init__(
        self,
        *,
        uses_tls: bool,
        errors: ErrorDomain,
        rights: Rights,
        callers: Mapping[str, Caller],
        bounds: Bounds | None = None,
    ) -> None:
        """`callers` are all that have a role, by name; what has no rule in `rights` is refused."""
        self._uses_tls = uses_tls
        self._errors = errors
        self._rights = rights
        self._bounds = bounds
        self._callers = callers

    def admit(self, context: Any, service: str, method: str) -> Caller:
        """Who calls: of several names in a certificate, the first that may call this.

        Raises `UNAUTHENTICATED` or `CLIENT_NOT_ALLOWED` unless there is one.
        """
        if not self._uses_tls:
            return SANDBOX_CLIENT
        names = _dns_names(context.auth_context().get(_CERTIFICATE, (b"",))[0])
        rule = self._rights.get(service, {}).get(method)
        known = [self._callers[name] for name in names if name in self._callers]
        for one in known:
            if rule is None or one.role not in rule.roles:
                continue
            if one.bound_to is None or self._covers(f"/{service}/{method}"):
                _caller.set(one)
                return one
        raise self._refusal(names, known, f"{service}/{method}")

    def _covers(self, path: str) -> bool:
        return self._bounds is not None and self._bounds.covers(path)

    def _refusal(self, names: tuple[str, ...], known: list[Caller], method: str) -> Exception:
        if not names:
            return self._errors.runtime_error(
                grpc.StatusCode.UNAUTHENTICATED,
                "UNAUTHENTICATED",
                "the client certificate has no DNS name among its subject alternative names",
            )
        shown = names[0].encode("unicode_escape").decode()[:MAX_NAME_CHARACTERS]
        role = known[0].role if known else None
        said = f"the role {role} may not call {method}"
        if not known:
            said = f"no name in this client's certificate has a role, so it may not call {method}"
        elif known[0].bound_to is not None:
            said = f"the role {role}, bound as this client is, may not call {method}"
        return self._errors.runtime_error(
            grpc.StatusCode.PERMISSION_DENIED,
            "CLIENT_NOT_ALLOWED",
            said,
            metadata={"client": known[0].name if known else shown, "method": method}
            | ({"role": str(role)} if role else {}),
        )


@lru_cache(maxsize=MAX_CERTIFICATES)
def _dns_names(certificate: bytes) -> tuple[str, ...]:
    """The DNS names among a certificate's subject alternative names, in its order and in lower case
    (https://www.rfc-editor.org/rfc/rfc4343); none if these cannot be read."""
    try:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (
        ValueError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    ):
        return ()
    return tuple(name.lower() for name in names.value.get_values_for_type(x509.DNSName))


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
