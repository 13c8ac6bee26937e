"""The config map that joining nodes read, ``cluster-info``, is signed with every bootstrap token that may sign it.

Source: pkg/controller/bootstrap/{bootstrapsigner,util}.go, k8s.io/cluster-bootstrap/token/jws of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.bootstrap_tokens import NAMESPACE, TYPE, remaining_ms
from kcore.controllers.contract import Controller, Failed, Key, Object, Steps, Update, View, Watched

PUBLIC: Final = "kube-public"
NAME: Final = "cluster-info"
CONTENT: Final = "kubeconfig"
SIGNATURE_PREFIX: Final = "jws-kubeconfig-"
SECRET_NAME: Final = re.compile(r"bootstrap-token-([a-z0-9]{6})")


class BootstrapSigner(Controller):
    """``bootstrap-signer-controller``."""

    name: ClassVar = "bootstrap-signer-controller"
    aliases: ClassVar = ("bootstrapsigner",)
    on_by_default: ClassVar = False
    component: ClassVar = "bootstrap-signer"
    workers: ClassVar[int] = 1

    @property
    def watches(self) -> Sequence[Watched]:
        """The config map, and bootstrap tokens."""
        return (Watched("configmaps", self._of_map), Watched("secrets", self._of_secret))

    def _of_map(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and (new["metadata"]["namespace"], new["metadata"]["name"]) == (PUBLIC, NAME):
            yield Key(PUBLIC, NAME)

    def _of_secret(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        secret = new if new is not None else old
        assert secret is not None
        if secret["metadata"]["namespace"] == NAMESPACE and secret.get("type") == TYPE:
            yield Key(PUBLIC, NAME)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The map has a signature of each token, and no other."""
        found = view.get("configmaps", *key)
        data = {} if found is None else found.get("data") or {}
        if found is None or CONTENT not in data:
            return None
        wanted = {name: text for name, text in data.items() if not name.startswith(SIGNATURE_PREFIX)}
        for token, secret in _tokens(view, now_ms):
            wanted.setdefault(SIGNATURE_PREFIX + token, signature(data[CONTENT], token, secret))
        if wanted != data:
            (outcome,) = yield [Update("configmaps", {**found, "data": wanted})]
            if isinstance(outcome, ApiError) and outcome.code not in (404, 409):
                raise Failed(str(outcome)) from outcome
        return None


def _tokens(view: View, now_ms: int) -> Iterator[tuple[str, str]]:
    """Those that may sign: id and secret."""
    for secret in view.list("secrets", NAMESPACE):
        named = SECRET_NAME.fullmatch(secret["metadata"]["name"])
        if secret.get("type") != TYPE or named is None:
            continue
        token, value = _text(secret, "token-id"), _text(secret, "token-secret")
        if token != named[1] or not value or _text(secret, "usage-bootstrap-signing") != "true":
            continue
        if remaining_ms(secret, now_ms) != 0:
            yield token, value


def _text(secret: Object, name: str) -> str:
    try:
        return base64.b64decode((secret.get("data") or {}).get(name) or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def signature(content: str, token: str, secret: str) -> str:
    """The JWS of the content without the content, by HMAC with the token's secret (RFC 7515, appendix F)."""
    head = _base64url(f'{{"alg":"HS256","kid":"{token}"}}'.encode())
    signed = f"{head}.{_base64url(content.encode())}".encode()
    return f"{head}..{_base64url(hmac.digest(secret.encode(), signed, hashlib.sha256))}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
