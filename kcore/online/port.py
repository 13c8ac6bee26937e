"""The scheduler's port: its TLS, and whose client certificates count there.

Source: apiserver pkg/server/options/authentication.go (delegating: lookupAuthenticationFromConfigMap) of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
import ssl
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kcore.api import status
from kcore.api.errors import InputError
from kcore.api.status import ApiError
from kcore.apiserver.authn.authenticator import InvalidCertificate
from kcore.apiserver.authn.certificates import ClientCertificates
from kcore.apiserver.driver import authorities_of
from kcore.apiserver.pki import Pki
from kcore.apiserver.user import authenticated
from kcore.client.asynchronous import AsyncClient
from kcore.http.any_certificate import take_any_certificate
from kcore.online.pages import Certificates

CONFIG_MAP: Final = ("extension-apiserver-authentication", "kube-system")

log: Final = logging.getLogger("kcore.scheduler")


def server_tls(cert_file: str, key_file: str, cert_dir: str, client_ca: str) -> ssl.SSLContext:
    """The port's context, with the certificate given or one made here. ``client_ca``: PEM, empty: none is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if cert_file:
        try:
            context.load_cert_chain(cert_file, key_file)
        except OSError as error:
            raise InputError(f"cannot use {cert_file}: {error}", field="--tls-cert-file") from None
    else:
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(cert_dir or folder)
            pki = Pki(kept)
            pki.server(
                "kube-scheduler",
                pki.authority("kube-scheduler-ca", "kube-scheduler"),
                ["localhost", "127.0.0.1"],
            )
            context.load_cert_chain(kept / "kube-scheduler.crt", kept / "kube-scheduler.key")
    if client_ca and not take_any_certificate(context, authorities_of(client_ca)):
        context.verify_mode = ssl.CERT_OPTIONAL  # then they are verified in the handshake
        context.load_verify_locations(cadata=client_ca)
    return context


async def client_authorities(client: AsyncClient, file: str) -> str:
    """Those whose certificates count (PEM): the file's, or the cluster's; empty where it does not say."""
    if file:
        try:
            text = Path(file).read_text("ascii")
            ssl.create_default_context(cadata=text)
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot use {file}: {error}", field="--client-ca-file", expected="PEM"
            ) from None
        return text
    name, namespace = CONFIG_MAP
    try:
        found = await client.get("configmaps", name, namespace)
    except (ApiError, OSError) as error:
        log.warning("no client certificates on the port: configmap %s/%s: %s", namespace, name, error)
        return ""
    return str((found.get("data") or {}).get("client-ca-file") or "")


def known_by(client_ca: str) -> Certificates | None:
    """Clients by certificates of these authorities; None where there are none."""
    if not client_ca:
        return None
    certificates = ClientCertificates(client_ca.encode(), time.time)

    def user_of(der: bytes) -> Mapping[str, Any] | None:
        try:
            user = certificates.identify(der)
        except InvalidCertificate as error:
            log.info("client certificate: %s", error)
            raise status.unauthorized() from None
        return None if user is None else authenticated(user).document()

    return user_of
