"""URLs of listeners: what etcd's ``types.NewURLs`` takes, and which of them are this machine's own."""

import ipaddress
from urllib.parse import urlsplit

SCHEMES = ("http", "https", "unix", "unixs")


def checked(url: str) -> str:
    """The URL; ValueError, saying what would be right, where etcd would refuse it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("URLs such as http://10.0.0.1:2379") from None
    if parts.scheme not in SCHEMES:
        raise ValueError("URLs with http, https, unix or unixs")
    if parts.scheme in ("http", "https"):
        if port is None or not parts.hostname:
            raise ValueError("URLs with host and port, such as http://10.0.0.1:2379")
        if parts.path or parts.query:
            raise ValueError("URLs without a path")
    elif not (parts.netloc or parts.path):
        raise ValueError("unix URLs with the path of a socket")
    return url


def is_secure(url: str) -> bool:
    """Whether it says TLS."""
    return urlsplit(url).scheme in ("https", "unixs")


def is_unix(url: str) -> bool:
    """Whether it is a socket in the file system."""
    return urlsplit(url).scheme in ("unix", "unixs")


def unix_path(url: str) -> str:
    """The socket's path, as etcd takes it: ``unix://name`` is relative, ``unix:///name`` is not."""
    parts = urlsplit(url)
    return parts.netloc + parts.path


def host_and_port(url: str) -> tuple[str, int]:
    """Of a TCP URL."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def is_loopback(url: str) -> bool:
    """Whether only this machine can reach it."""
    if is_unix(url):
        return True
    host, _ = host_and_port(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
