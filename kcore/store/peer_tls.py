"""Certificates between members: both sides show one, of a trusted authority, that fits the address they come from.

etcd ``client/pkg/transport/listener_tls.go``: a certificate with addresses or names is taken only from one of those.
Contexts are made for every connection, so that renewed files are used without a restart.
"""

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PeerTLS:
    """Files of etcd's ``--peer-*`` flags; without ``trusted_ca_file`` the system's authorities are trusted."""

    cert_file: str
    key_file: str
    trusted_ca_file: str = ""
    client_cert_auth: bool = False  # one who connects must show a certificate
    allowed_cn: str = ""  # and it must be of that common name, "" for any
    unverified: bool = False  # certificates sign themselves (--peer-auto-tls): encrypted, but nobody is known

    def server_context(self) -> ssl.SSLContext:
        """For the side that is connected to; raises OSError, ssl.SSLError where the files are no good."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        if self.trusted_ca_file:
            context.load_verify_locations(self.trusted_ca_file)
        if self.client_cert_auth or self.allowed_cn:
            context.verify_mode = ssl.CERT_REQUIRED
        elif self.trusted_ca_file:
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client_context(self) -> ssl.SSLContext:
        """For the side that connects; the other's certificate must fit the URL's host."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.trusted_ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.unverified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


def common_name(certificate: dict[str, Any]) -> str:
    """The common name of a certificate as ``getpeercert`` gives it; "" without one."""
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""


async def check_peer_address(writer: asyncio.StreamWriter, allowed_cn: str = "") -> None:
    """Raises ValueError where the certificate shown does not fit the address it comes from."""
    certificate = writer.get_extra_info("peercert")
    if not certificate:
        return  # none was asked for, or none shown where it is optional
    if allowed_cn and common_name(certificate) != allowed_cn:
        raise ValueError(f"its certificate is of {common_name(certificate)!r}, not of {allowed_cn!r}")
    address = ipaddress.ip_address(writer.get_extra_info("peername")[0])
    names = certificate.get("subjectAltName", ())
    addresses = [ipaddress.ip_address(value) for kind, value in names if kind == "IP Address"]
    hosts = [value for kind, value in names if kind == "DNS"]
    if (not addresses and not hosts) or address in addresses:
        return
    loop = asyncio.get_running_loop()
    for host in hosts:
        try:
            found = await loop.getaddrinfo(host.removeprefix("*."), None)
        except OSError:
            continue
        if any(ipaddress.ip_address(row[4][0]) == address for row in found):
            return
    raise ValueError(f"its certificate is for {', '.join(value for _, value in names)}, not for {address}")
