"""Secrets that hold a service account's token are filled, go with the account, and in time when nobody uses them.

Source: pkg/controller/serviceaccount/tokens_controller.go, legacy_serviceaccount_token_cleaner.go of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Action,
    Controller,
    Delete,
    Failed,
    Key,
    Object,
    Outcome,
    Patch,
    Read,
    Steps,
    Update,
    View,
    Watched,
    done,
)
from kcore.controllers.times import ms_of

TYPE: Final = "kubernetes.io/service-account-token"
ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
ACCOUNT_UID: Final = "kubernetes.io/service-account.uid"
LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"
TRACKING: Final = ("configmaps", "kube-system", "kube-apiserver-legacy-service-account-token-tracking")
TRACKED_SINCE: Final = "since"
UNUSED_DAYS: Final = 365  # --legacy-service-account-token-clean-up-period
CLEAN_MS: Final = 86_400_000
REFERENCE_TRIES_MAX: Final = 10

MakeToken = Callable[[str, str, str, str], str]  # namespace, account, its uid, secret: the token
Doing = Generator[Sequence[Action], list[Outcome], None]


class ServiceAccountTokens(Controller):
    """``serviceaccount-token-controller``. Keys are ``account/NAME/UID`` and ``secret/NAME/UID/ACCOUNT/UID``.

    ``make_token`` signs a legacy token; ``root_ca`` is the PEM that clients verify the API server by, if any.
    """

    name: ClassVar = "serviceaccount-token-controller"
    aliases: ClassVar = ("serviceaccount-token",)
    component: ClassVar = "serviceaccount-token-controller"
    workers: ClassVar[int] = 5

    def __init__(self, make_token: MakeToken, root_ca: str = "") -> None:
        self._make_token = make_token
        self._root_ca = base64.b64encode(root_ca.encode()).decode()

    @property
    def watches(self) -> Sequence[Watched]:
        """Accounts, and secrets of that type."""
        return (
            Watched("serviceaccounts", self._of_account),
            Watched("secrets", self._of_secret, {"token of": _account_of}),
        )

    def _of_account(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is None and old is not None:  # only of one that is gone there is something to do
            metadata = old["metadata"]
            yield Key(metadata["namespace"], f"account/{metadata['name']}/{metadata['uid']}")

    def _of_secret(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        secret = new if new is not None else old
        assert secret is not None
        metadata = secret["metadata"]
        annotations = metadata.get("annotations") or {}
        if secret.get("type") == TYPE and annotations.get(ACCOUNT_NAME):
            told = (
                metadata["name"],
                metadata["uid"],
                annotations[ACCOUNT_NAME],
                annotations.get(ACCOUNT_UID, ""),
            )
            yield Key(metadata["namespace"], "/".join(("secret", *told)))

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The secret is filled, or gone where there is no such account; the account names none that is gone."""
        what, name, uid, *account = key.name.split("/")
        if what == "account":
            yield from self._account_gone(view, key.namespace, name, uid)
            return None
        secret = view.get("secrets", key.namespace, name)
        found = _named(view, key.namespace, *account)
        if secret is None or secret["metadata"]["uid"] != uid:
            if found is not None:
                yield from _no_reference(key.namespace, account[0], account[1], name)
            return None
        if found is None:
            (live,) = yield [Read("serviceaccounts", key.namespace, account[0])]
            if isinstance(live, ApiError) and live.code != 404:
                raise Failed(str(live)) from live
            if isinstance(live, dict) and account[1] in ("", live["metadata"]["uid"]):
                found = live
        if found is None:
            yield from _deleted(secret)
        elif self._missing(secret):
            yield from self._filled(secret, found)
        return None

    def _account_gone(self, view: View, namespace: str, name: str, uid: str) -> Doing:
        if _named(view, namespace, name, uid) is not None:
            return
        for secret in view.by("secrets", "token of", f"{namespace}/{name}"):
            if (secret["metadata"].get("annotations") or {}).get(ACCOUNT_UID) in (None, "", uid):
                yield from _deleted(secret)

    def _missing(self, secret: Object) -> bool:
        data = secret.get("data") or {}
        return (
            not data.get("token")
            or not data.get("namespace")
            or bool(self._root_ca and data.get("ca.crt") != self._root_ca)
        )

    def _filled(self, secret: Object, account: Object) -> Doing:
        namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
        (live,) = yield [Read("secrets", namespace, name)]
        if isinstance(live, ApiError):
            done([live])
            return
        assert isinstance(live, dict)
        metadata = live["metadata"]
        if metadata["resourceVersion"] != secret["metadata"]["resourceVersion"] or not self._missing(live):
            return  # the next version of it will come by
        data = dict(live.get("data") or {})
        account_name, account_uid = account["metadata"]["name"], account["metadata"]["uid"]
        if self._root_ca:
            data["ca.crt"] = self._root_ca
        if not data.get("namespace"):
            data["namespace"] = base64.b64encode(namespace.encode()).decode()
        if not data.get("token"):
            token = self._make_token(namespace, account_name, account_uid, name)
            data["token"] = base64.b64encode(token.encode()).decode()
        annotations = {
            **(metadata.get("annotations") or {}), ACCOUNT_NAME: account_name, ACCOUNT_UID: account_uid,
        }  # fmt: skip
        filled = {**live, "metadata": {**metadata, "annotations": annotations}, "data": data}
        (outcome,) = yield [Update("secrets", filled)]
        if isinstance(outcome, ApiError) and outcome.code not in (404, 409):
            raise Failed(str(outcome)) from outcome


def _account_of(secret: Object) -> Iterator[str]:
    """Index: the account whose token it holds."""
    name = (secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME)
    if name and secret.get("type") == TYPE:
        yield f"{secret['metadata']['namespace']}/{name}"


def _named(view: View, namespace: str, name: str, uid: str) -> Object | None:
    """The account of that name and, where one is given, uid."""
    found = view.get("serviceaccounts", namespace, name)
    return found if found is not None and uid in ("", found["metadata"]["uid"]) else None


def _deleted(secret: Object) -> Doing:
    metadata = secret["metadata"]
    (outcome,) = yield [Delete("secrets", metadata["namespace"], metadata["name"], metadata["uid"])]
    if isinstance(outcome, ApiError) and outcome.code not in (404, 409):
        raise Failed(str(outcome)) from outcome


def _no_reference(namespace: str, name: str, uid: str, secret: str) -> Doing:
    """The account does not name the secret."""
    outcome: Outcome = None
    for _ in range(REFERENCE_TRIES_MAX):
        (live,) = yield [Read("serviceaccounts", namespace, name)]
        if isinstance(live, ApiError):
            done([live])
            return
        assert isinstance(live, dict)
        named = live.get("secrets") or []
        left = [each for each in named if each.get("name") != secret]
        if uid not in ("", live["metadata"]["uid"]) or len(left) == len(named):
            return
        (outcome,) = yield [Update("serviceaccounts", {**live, "secrets": left})]
        if not (isinstance(outcome, ApiError) and outcome.code == 409):
            break
    done([outcome])


class LegacyTokenCleaner(Controller):
    """``legacy-serviceaccount-token-cleaner-controller``: tokens that the server once made by itself and nobody uses.

    One that has not been used for ``unused_days`` is marked as invalid, and deleted after as many again.
    """

    name: ClassVar = "legacy-serviceaccount-token-cleaner-controller"
    aliases: ClassVar = ("legacy-service-account-token-cleaner",)
    component: ClassVar = "legacy-service-account-token-cleaner"
    workers: ClassVar[int] = 1

    def __init__(self, unused_days: float = UNUSED_DAYS) -> None:
        self._unused = timedelta(days=unused_days)

    @property
    def watches(self) -> Sequence[Watched]:
        """Nothing wakes it but time."""
        return tuple(
            Watched(resource, lambda old, new, view: ())
            for resource in ("serviceaccounts", "secrets", "pods")
        )

    def at_start(self, view: View, now_ms: int) -> Iterable[Key]:
        """The one key."""
        yield Key("", "tokens")

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Unused tokens are marked, and those marked long ago gone."""
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        (tracking,) = yield [Read(*TRACKING)]
        if not isinstance(tracking, dict):
            return CLEAN_MS
        since = _day((tracking.get("data") or {}).get(TRACKED_SINCE))
        if since is None:
            return CLEAN_MS
        tracked = datetime(since.year, since.month, since.day, tzinfo=UTC) + timedelta(days=1)
        if now < tracked + self._unused:
            return CLEAN_MS
        kept_from = now - self._unused
        mounted: dict[str, set[str]] = {}
        for secret in view.list("secrets"):
            metadata = secret["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            if not _is_unused(secret, kept_from) or not _is_of_server(secret, view):
                continue
            if namespace not in mounted:
                mounted[namespace] = {
                    each for pod in view.list("pods", namespace) for each in secrets_of(pod)
                }
            if name in mounted[namespace]:
                continue
            invalid = (metadata.get("labels") or {}).get(INVALID_SINCE)
            if _day(invalid) is None:
                labels = {INVALID_SINCE: now.date().isoformat()}
                body = {"metadata": {"uid": metadata["uid"], "labels": labels}}
                yield [Patch("secrets", namespace, name, body)]
            elif str(invalid) < kept_from.date().isoformat():
                yield [Delete("secrets", namespace, name, version=metadata["resourceVersion"])]
        return CLEAN_MS


def _day(text: str | None) -> date | None:
    try:
        return None if not text or len(text) != len("2006-01-02") else date.fromisoformat(text)
    except ValueError:
        return None


def _is_unused(secret: Object, kept_from: datetime) -> bool:
    """An old token that no label says to have been used since."""
    metadata = secret["metadata"]
    created = ms_of(metadata.get("creationTimestamp"))
    if (
        secret.get("type") != TYPE
        or "deletionTimestamp" in metadata
        or (created is not None and created >= kept_from.timestamp() * 1000)
    ):
        return False
    used = (metadata.get("labels") or {}).get(LAST_USED)
    if used is None:
        return True
    return _day(used) is not None and used < kept_from.date().isoformat()


def _is_of_server(secret: Object, view: View) -> bool:
    """Its account names it, as it does those that were made with it."""
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    if not annotations.get(ACCOUNT_NAME):
        return False
    account = _named(view, metadata["namespace"], annotations[ACCOUNT_NAME], annotations.get(ACCOUNT_UID, ""))
    return account is not None and any(
        each.get("name") == metadata["name"] for each in account.get("secrets") or ()
    )


VOLUME_SECRETS: Final = (
    ("azureFile", "secretName"), ("cephfs", "secretRef"), ("cinder", "secretRef"), ("flexVolume", "secretRef"),
    ("rbd", "secretRef"), ("secret", "secretName"), ("scaleIO", "secretRef"), ("iscsi", "secretRef"),
    ("storageos", "secretRef"), ("csi", "nodePublishSecretRef"),
)  # fmt: skip


def secrets_of(pod: Object) -> Iterator[str]:
    """The names of all secrets that the pod uses (VisitPodSecretNames)."""
    spec = pod["spec"]
    found = [each.get("name") for each in spec.get("imagePullSecrets") or ()]
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            found += [(each.get("secretRef") or {}).get("name") for each in container.get("envFrom") or ()]
            found += [
                ((each.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
                for each in container.get("env") or ()
            ]
    for volume in spec.get("volumes") or ():
        for source, field in VOLUME_SECRETS:
            told = (volume.get(source) or {}).get(field)
            found.append(told.get("name") if isinstance(told, dict) else told)
        found += [
            (each.get("secret") or {}).get("name")
            for each in (volume.get("projected") or {}).get("sources") or ()
        ]
    yield from filter(None, found)
