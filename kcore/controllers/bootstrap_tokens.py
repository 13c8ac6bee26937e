"""Bootstrap tokens that have expired are gone.

Source: pkg/controller/bootstrap/tokencleaner.go, k8s.io/cluster-bootstrap/util/secrets of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import Controller, Delete, Failed, Key, Object, Steps, View, Watched
from kcore.controllers.times import ms_of

NAMESPACE: Final = "kube-system"
TYPE: Final = "bootstrap.kubernetes.io/token"
EXPIRATION: Final = "expiration"


class TokenCleaner(Controller):
    """``token-cleaner-controller``."""

    name: ClassVar = "token-cleaner-controller"
    aliases: ClassVar = ("tokencleaner",)
    on_by_default: ClassVar = False
    component: ClassVar = "token-cleaner"
    workers: ClassVar[int] = 1

    @property
    def watches(self) -> Sequence[Watched]:
        """Bootstrap tokens."""
        return (Watched("secrets", self._keys),)

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and new["metadata"]["namespace"] == NAMESPACE and new.get("type") == TYPE:
            yield Key(NAMESPACE, new["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The token is gone if its time is over; else it is looked at then."""
        secret = view.get("secrets", *key)
        if secret is None or secret.get("type") != TYPE:
            return None
        left_ms = remaining_ms(secret, now_ms)
        if left_ms is None or left_ms > 0:
            return left_ms
        (outcome,) = yield [Delete("secrets", *key, secret["metadata"]["uid"])]
        if isinstance(outcome, ApiError) and outcome.code not in (404, 409):
            raise Failed(str(outcome)) from outcome
        return None


def remaining_ms(secret: Object, now_ms: int) -> int | None:
    """How long the token holds; None for ever, 0 where it is over or no time can be read (GetExpiration)."""
    encoded = (secret.get("data") or {}).get(EXPIRATION)
    if not encoded:
        return None
    try:
        at_ms = ms_of(base64.b64decode(encoded).decode())
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return 0
    return 0 if at_ms is None else max(0, at_ms - now_ms)
