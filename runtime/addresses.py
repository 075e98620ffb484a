"""Addresses `host:port`, as settings have them."""

from ipaddress import ip_address


def split_address(address: str) -> tuple[str, int]:
    """`host:port` as its parts; port 0 asks the system for a free one."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port")
    return host.strip("[]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether `host:port` can be reached from this machine alone."""
    host, _ = split_address(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
