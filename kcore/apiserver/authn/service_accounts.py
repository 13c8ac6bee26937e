"""Tokens of service accounts as a way to say who one is.

A signature is verified once a token and remembered by the token's hash; that the account and the object it is bound
to still are there is looked up each time. Source: pkg/serviceaccount/{jwt,claims,legacy}.go of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from kcore.api.field import quoted
from kcore.api.status import ApiError
from kcore.apiserver.authn.authenticator import InvalidToken, Verified
from kcore.apiserver.tokens import LEGACY_ISSUER, BadToken, NoToken, TokenKeys
from kcore.apiserver.user import (
    EXTRA_CREDENTIAL_ID,
    EXTRA_NODE_NAME,
    EXTRA_NODE_UID,
    EXTRA_POD_NAME,
    EXTRA_POD_UID,
    NO_EXTRA,
    UserInfo,
    service_account_groups,
    service_account_username,
    split_service_account,
)
from kcore.apiserver.view import Object, View, Writer

LEEWAY_S: Final = 60
DAY_S: Final = 86_400
TOKENS_CACHED_MAX: Final = 10_000
LAST_USED_LABEL: Final = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE_LABEL: Final = "kubernetes.io/legacy-token-invalid-since"

log = logging.getLogger("kcore.apiserver")


class ServiceAccountTokens:
    """Users by tokens that the server's own keys have signed.

    ``audiences`` are the server's own: a token that names others is for others. ``now_s`` is seconds since 1970.
    """

    def __init__(
        self,
        keys: TokenKeys,
        view: View,
        *,
        audiences: Sequence[str],
        now_s: Callable[[], float],
        lookup: bool = True,
        writer: Writer | None = None,
    ) -> None:
        self._keys = keys
        self._view = view
        self._audiences = tuple(audiences)
        self._now_s = now_s
        self._lookup = lookup
        self._writer = writer
        self._issuers = frozenset(keys.issuers)
        self._claims: dict[bytes, dict[str, Any]] = {}

    async def verify(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The service account, None for a token of another issuer; InvalidToken for one that does not hold."""
        claims = self._read(token)
        if claims is None:
            return None
        meant = _strings(claims.get("aud")) or self._audiences
        asked = tuple(audiences) or self._audiences
        common = tuple(each for each in meant if each in asked)
        if not common and self._audiences:
            raise InvalidToken(
                f"token audiences {_listed(meant)} is invalid for the target audiences {_listed(asked)}"
            )
        if claims.get("iss") in self._issuers and claims.get("iss") != LEGACY_ISSUER:
            return Verified(await self._bound(claims), common)
        return Verified(await self._legacy(token, claims), common)

    def _read(self, token: str) -> dict[str, Any] | None:
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._claims.get(digest)
        if claims is not None:
            return claims
        try:
            claims = self._keys.read(token, issuers=(*self._issuers, LEGACY_ISSUER))
        except NoToken:
            return None
        except BadToken as fault:
            raise InvalidToken(str(fault)) from None
        if len(self._claims) >= TOKENS_CACHED_MAX:
            self._claims.clear()
        self._claims[digest] = claims
        return claims

    async def _bound(self, claims: Mapping[str, Any]) -> UserInfo:
        now_s = self._now_s()
        _check_times(claims, now_s)
        private = claims.get("kubernetes.io")
        private = private if isinstance(private, dict) else {}
        namespace = _text(private, "namespace")
        account = _reference(private, "serviceaccount")
        name, uid = account or ("", "")
        found = await self._find("serviceaccounts", namespace, name)
        if found is None:
            raise InvalidToken(f"serviceaccounts {quoted(name)} not found")
        if found["metadata"].get("uid", "") != uid:
            raise InvalidToken(
                f"service account UID ({found['metadata'].get('uid', '')}) does not match claim ({uid})"
            )
        dead_before_s = now_s - LEEWAY_S
        if _is_dead(found, dead_before_s):
            raise InvalidToken(f"service account {namespace}/{name} has been deleted")
        secret, pod, node = (_reference(private, kind) for kind in ("secret", "pod", "node"))
        await self._check_bound("secrets", "Secret", "secret", namespace, secret, dead_before_s)
        await self._check_bound("pods", "Pod".lower(), "pod", namespace, pod, dead_before_s)
        if pod is None:
            await self._check_bound("nodes", "node", "node", "", node, dead_before_s)
        extra: dict[str, tuple[str, ...]] = {}
        if pod is not None and pod[0] and pod[1]:
            extra[EXTRA_POD_NAME], extra[EXTRA_POD_UID] = (pod[0],), (pod[1],)
        if token_id := _text(claims, "jti"):
            extra[EXTRA_CREDENTIAL_ID] = (f"JTI={token_id}",)
        if node is not None and node[0]:
            extra[EXTRA_NODE_NAME] = (node[0],)
            if node[1]:
                extra[EXTRA_NODE_UID] = (node[1],)
        return _user(namespace, name, uid, extra)

    async def _check_bound(
        self,
        plural: str,
        title: str,
        word: str,
        namespace: str,
        reference: tuple[str, str] | None,
        dead_before_s: float,
    ) -> None:
        if reference is None:
            return
        name, uid = reference
        found = await self._find(plural, namespace, name)
        if found is None:
            raise InvalidToken("service account token has been invalidated")
        actual = found["metadata"].get("uid", "")
        if actual != uid:
            title = title if word == "secret" else word
            raise InvalidToken(
                f"{title} UID ({actual}) does not match service account {word} ref claim ({uid})"
            )
        if _is_dead(found, dead_before_s):
            raise InvalidToken("service account token has been invalidated")

    async def _legacy(self, token: str, claims: Mapping[str, Any]) -> UserInfo:
        prefix = "kubernetes.io/serviceaccount/"
        subject = _text(claims, "sub")
        namespace = _text(claims, prefix + "namespace")
        secret_name = _text(claims, prefix + "secret.name")
        name = _text(claims, prefix + "service-account.name")
        uid = _text(claims, prefix + "service-account.uid")
        for value, title in (
            (subject, "sub"),
            (namespace, "namespace"),
            (secret_name, "secretName"),
            (name, "serviceAccountName"),
            (uid, "serviceAccountUID"),
        ):
            if not value:
                raise InvalidToken(f"{title} claim is missing")
        if split_service_account(subject) != (namespace, name):
            raise InvalidToken("sub claim is invalid")
        if self._lookup:
            await self._check_legacy(token, namespace, name, uid, secret_name)
        return _user(namespace, name, uid, NO_EXTRA)

    async def _check_legacy(self, token: str, namespace: str, name: str, uid: str, secret_name: str) -> None:
        secret = await self._find("secrets", namespace, secret_name)
        if secret is None or secret["metadata"].get("deletionTimestamp"):
            raise InvalidToken("Token has been invalidated")
        kept = b64decode(secret.get("data", {}).get("token", ""))
        if not hmac.compare_digest(kept, token.encode()):
            raise InvalidToken("Token does not match server's copy")
        account = await self._find("serviceaccounts", namespace, name)
        if account is None:
            raise InvalidToken(f"serviceaccounts {quoted(name)} not found")
        if account["metadata"].get("deletionTimestamp"):
            raise InvalidToken(f"ServiceAccount {namespace}/{name} has been deleted")
        actual = account["metadata"].get("uid", "")
        if actual != uid:
            raise InvalidToken(f"ServiceAccount UID ({actual}) does not match claim ({uid})")
        labels = secret["metadata"].get("labels", {})
        await self._mark_used(secret, labels)
        if labels.get(INVALID_SINCE_LABEL):
            raise InvalidToken(
                f"the token in secret {namespace}/{secret_name} for service account {namespace}/{name} has been "
                "marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or "
                f"remove the '{INVALID_SINCE_LABEL}' label from the secret to temporarily allow use of this token"
            )

    async def _mark_used(self, secret: Object, labels: Mapping[str, str]) -> None:
        """The secret's label names the day, by UTC, on which its token was used (patchSecretWithLastUsedDate)."""
        today, tomorrow = (
            datetime.fromtimestamp(self._now_s() + ahead, UTC).date().isoformat() for ahead in (0, DAY_S)
        )
        if self._writer is None or labels.get(LAST_USED_LABEL) in (today, tomorrow):
            return
        metadata = secret["metadata"]

        def marked(found: Object) -> Object | None:
            if found["metadata"].get("uid") != metadata.get("uid"):
                return None
            found["metadata"].setdefault("labels", {})[LAST_USED_LABEL] = today
            return found

        try:
            await self._writer.update("", "secrets", metadata["namespace"], metadata["name"], marked)
        except ApiError as error:
            log.error(
                "failed to label legacy service account token %s/%s with last-used date: %s",
                metadata["namespace"], metadata["name"], error.message,
            )  # fmt: skip

    async def _find(self, plural: str, namespace: str, name: str) -> Object | None:
        if not name:
            return None
        found = self._view.get("", plural, namespace, name)
        return found if found is not None else await self._view.live("", plural, namespace, name)


def _user(namespace: str, name: str, uid: str, extra: Mapping[str, tuple[str, ...]]) -> UserInfo:
    return UserInfo(service_account_username(namespace, name), uid, service_account_groups(namespace), extra)


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    not_before, expires, issued = (_seconds(claims, key) for key in ("nbf", "exp", "iat"))
    if not_before and now_s + LEEWAY_S < not_before:
        raise InvalidToken("service account token is not valid yet")
    if expires and now_s - LEEWAY_S > expires:
        raise InvalidToken("service account token has expired")
    if issued and now_s + LEEWAY_S < issued:
        raise InvalidToken("service account token is issued in the future")


def _seconds(claims: Mapping[str, Any], key: str) -> float:
    value = claims.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _is_dead(obj: Object, before_s: float) -> bool:
    stamp = obj["metadata"].get("deletionTimestamp")
    return bool(stamp) and datetime.fromisoformat(stamp).timestamp() < before_s


def _reference(private: Mapping[str, Any], kind: str) -> tuple[str, str] | None:
    found = private.get(kind)
    return (_text(found, "name"), _text(found, "uid")) if isinstance(found, dict) else None


def _text(mapping: Mapping[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _listed(values: Sequence[str]) -> str:
    return f"[{' '.join(map(quoted, values))}]"
