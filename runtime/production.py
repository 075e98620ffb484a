"""What `ENV=production` refuses to start with: secrets that others know or could guess, and ways
over a network on which nobody would notice that somebody else answers or listens.

Pure functions. What they give are ends of sentences for a line that begins with the variable; none
quotes a secret.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from runtime.database_url import DatabaseUrl, parse
from runtime.published_secrets import PUBLISHED_SECRETS

# `openssl rand -base64 24` gives 32. Shorter ones are what people make up.
MIN_PASSWORD_CHARACTERS = 16
# "xxxxxxxxxxxxxxxx" and a key of zeros are long enough, and nobody's secret.
MIN_DIFFERENT_CHARACTERS = 6
# https://opentelemetry.io/docs/specs/otel/protocol/exporter/
OTLP_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")

# The common name of the CA that `python -m sandbox certificates` makes.
DEVELOPMENT_AUTHORITY = "payment engine development CA"


class SslMode(StrEnum):
    """libpq's `sslmode`, from the weakest to the only one that knows whom it talks to.

    https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
    """

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"

    def is_weaker_than(self, other: "SslMode") -> bool:
        """Whether it holds off less."""
        order = list(SslMode)
        return order.index(self) < order.index(other)


def weakness(secret: str, min_characters: int = MIN_PASSWORD_CHARACTERS) -> str | None:
    """Why a secret is none; None if nothing speaks against it."""
    if secret.strip() in PUBLISHED_SECRETS:
        return "is published in the engine's repository"
    if len(secret) < min_characters:
        return f"has fewer than {min_characters} characters"
    if len(set(secret)) < MIN_DIFFERENT_CHARACTERS:
        return f"has fewer than {MIN_DIFFERENT_CHARACTERS} different characters"
    return None


def database_problems(
    url: str, weakest: SslMode, environment: Mapping[str, str], weakest_variable: str
) -> Iterator[str]:
    """What speaks against a PostgreSQL URL. `environment` has libpq's own variables, which hold for
    what the URL leaves out; `weakest_variable` is the setting that allows a mode by its name."""
    found = parse(url)
    password = found.parameters.get("password") or environment.get("PGPASSWORD")
    if password and (problem := weakness(password)):
        yield f"the password {problem}: give the login another one (openssl rand -hex 24)"
    if not _crosses_a_network(found, environment):
        return
    try:
        mode = _ssl_mode(found, environment)
    except ValueError:
        yield f"its sslmode is none of {', '.join(SslMode)}"
        return
    if mode.is_weaker_than(weakest):
        yield (
            f"sslmode={mode} does not make sure that the database answers and nobody else: say"
            " sslmode=verify-full and sslrootcert=FILE,"
            f" or allow it by name with {weakest_variable}={mode}"
        )


def otlp_problem(endpoint: str | None, environment: Mapping[str, str]) -> str | None:
    """Whether traces are sent with a login in plain text."""
    if endpoint is None or not is_plain_http(endpoint):
        return None
    headers = [name for name in OTLP_HEADERS if environment.get(name)]
    if urlsplit(endpoint).username is not None:
        headers.append("its login")
    if not headers:
        return None
    return f"{' and '.join(headers)} would be sent in plain text: say https://"


def is_development_authority(pem: bytes) -> bool:
    """Whether the file of a CA has the one that the sandbox makes, whose key lies about.

    What cannot be read is told where it is used.
    """
    # It takes longer to import than all else here, and only production asks.
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return False
    names = (
        certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME) for certificate in found
    )
    return any(name.value == DEVELOPMENT_AUTHORITY for several in names for name in several)


def is_plain_http(url: str) -> bool:
    """Whether what is sent to a URL can be read on the way."""
    return urlsplit(url).scheme == "http"


def _crosses_a_network(url: DatabaseUrl, environment: Mapping[str, str]) -> bool:
    """libpq ignores `sslmode` on a Unix socket, which needs none."""
    elsewhere = (
        environment.get("PGHOSTADDR")
        or environment.get("PGSERVICE")
        or url.parameters.get("service")
    )
    for one in url.hosts:
        host = one.host or environment.get("PGHOST", "")
        is_socket = host.startswith("/") or not (host or elsewhere)
        if one.address or not is_socket:
            return True
    return False


def _ssl_mode(url: DatabaseUrl, environment: Mapping[str, str]) -> SslMode:
    given = url.parameters.get("sslmode") or environment.get("PGSSLMODE")
    if given:
        return SslMode(given)
    authorities = url.parameters.get("sslrootcert") or environment.get("PGSSLROOTCERT")
    # libpq's own defaults.
    return SslMode.VERIFY_FULL if authorities == "system" else SslMode.PREFER
