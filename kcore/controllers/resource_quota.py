"""``status.used`` of every quota is what there is, counted anew whenever something that it counts goes.

Admission counts what is made (kcore.apiserver.admission.quota); nobody but this controller counts down.

Source: pkg/controller/resourcequota, pkg/quota/v1/install of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from kcore.api.quota_usage import (
    Amount,
    Evaluator,
    Usage,
    counts,
    evaluator_of,
    is_terminating,
    selectors_of,
    used_of,
)
from kcore.controllers.contract import (
    FollowsAll,
    Key,
    Later,
    Object,
    Served,
    Steps,
    Update,
    View,
    Watched,
    done,
)
from kcore.controllers.times import text_of

RECOUNT_MS: Final = 300_000  # --resource-quota-sync-period
NEEDED_VERBS: Final = frozenset({"create", "list", "watch", "delete"})
IGNORED: Final = frozenset({
    ("", "bindings"), ("", "componentstatuses"), ("authentication.k8s.io", "tokenreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"), ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"), ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"), ("", "events"), ("events.k8s.io", "events"),
})  # fmt: skip
MEASURED: Final = (
    ("", "pods"),
    ("", "services"),
    ("", "persistentvolumeclaims"),
    ("resource.k8s.io", "resourceclaims"),
)
NOTHING: Final = Amount(0)


class ResourceQuota(FollowsAll):
    """``resourcequota-controller``."""

    name: ClassVar = "resourcequota-controller"
    aliases: ClassVar = ("resourcequota",)
    component: ClassVar = "resourcequota-controller"
    workers: ClassVar[int] = 5

    def __init__(self, recount_ms: int = RECOUNT_MS) -> None:
        self._recount_ms = recount_ms
        self._measured = {of: evaluator_of(*of) for of in MEASURED}
        self._counted: dict[Served, Evaluator] = {}
        self._counts: dict[Served, Counter[str]] = {}  # by namespace

    @property
    def watches(self) -> Sequence[Watched]:
        """Quotas, and what is not only counted."""
        return (
            Watched("resourcequotas", self._of_quota),
            Watched("pods", self._of_pod),
            Watched("services", self._of_service),
            Watched("persistentvolumeclaims", self._of_volume_claim),
            Watched("resourceclaims", self._of_resource_claim),
        )

    # -- what wakes it ----------------------------------------------------------------------------------------------

    def _of_quota(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None and (old is None or _hard(old, "spec") != _hard(new, "spec")):
            yield Key(new["metadata"]["namespace"], new["metadata"]["name"])

    def _of_pod(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        if old is None:
            return
        quotas = view.list("resourcequotas", old["metadata"]["namespace"])
        if quotas and (
            new is None
            or is_terminating(old) != is_terminating(new)
            or (counts(old, "") and not counts(new, ""))
            or _statuses(old) != _statuses(new)
        ):
            yield from _tracking(quotas, self._measured["", "pods"])
        if quotas and new is not None and "deletionTimestamp" in new["metadata"]:
            # a pod whose grace has passed counts no longer, and nothing but time says so
            seconds = int(new["metadata"].get("deletionGracePeriodSeconds", 0)) + 1
            for key in _tracking(quotas, self._measured["", "pods"]):
                yield Later(key, seconds * 1000)

    def _of_service(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return self._changed(("", "services"), old, new, view)

    def _of_volume_claim(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return self._changed(("", "persistentvolumeclaims"), old, new, view)

    def _of_resource_claim(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return self._changed(("resource.k8s.io", "resourceclaims"), old, new, view)

    def _changed(
        self, of: tuple[str, str], old: Object | None, new: Object | None, view: View
    ) -> Iterator[Key]:
        """Those that track it, where it uses something else than before."""
        if old is None:
            return
        evaluator = self._measured[of]
        quotas = view.list("resourcequotas", old["metadata"]["namespace"])
        if quotas and (
            new is None
            or evaluator.usage(old, "") != evaluator.usage(new, "")
            or any(_in_scope(quota, evaluator, old) != _in_scope(quota, evaluator, new) for quota in quotas)
        ):
            yield from _tracking(quotas, evaluator)

    def serves(self, resources: Sequence[Served]) -> Iterable[Served]:
        """All of a namespace that can be created, listed, watched and deleted, but what is measured, and events."""
        self._counted = {
            each: evaluator_of(each.group, each.plural)
            for each in resources
            if each.is_preferred
            and each.is_namespaced
            and NEEDED_VERBS.issubset(each.verbs)
            and (each.group, each.plural) not in IGNORED
            and (each.group, each.plural) not in self._measured
        }
        for gone in [each for each in self._counts if each not in self._counted]:
            del self._counts[gone]
        return tuple(self._counted)

    def followed(
        self, served: Served, old: Object | None, new: Object | None, view: View
    ) -> Iterable[Key | Later]:
        """What there is of it is counted; quotas that track it are looked at when one goes."""
        if (old is None) == (new is None):
            return
        obj = new if new is not None else old
        assert obj is not None
        namespace = obj["metadata"]["namespace"]
        self._counts.setdefault(served, Counter())[namespace] += 1 if old is None else -1
        if new is None:
            yield from _tracking(view.list("resourcequotas", namespace), self._counted[served])

    # -- what it does -----------------------------------------------------------------------------------------------

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The quota's status says what its spec limits, and how much of each there is."""
        quota = view.get("resourcequotas", key.namespace, key.name)
        if quota is None:
            return None
        status = quota.get("status") or {}
        hard: Mapping[str, str] = (quota.get("spec") or {}).get("hard") or {}
        before = used_of(quota)
        used = {**before, **self.usage(quota, view, text_of(now_ms))}
        used = {name: amount for name, amount in used.items() if name in hard}
        if (
            "hard" not in status
            or "used" not in status
            or _hard(quota, "spec") != _hard(quota, "status")
            or _numbers(used) != _numbers(before)
        ):
            told = {"hard": dict(hard), "used": {name: amount.text for name, amount in used.items()}}
            done((yield [Update("resourcequotas", {**quota, "status": told}, "status")]), gone_is_fine=False)
        return self._recount_ms

    def usage(self, quota: Object, view: View, now: str) -> Usage:
        """How much there is of what the quota limits and somebody can count (CalculateUsage)."""
        hard = list((quota.get("spec") or {}).get("hard") or ())
        namespace = quota["metadata"]["namespace"]
        made: Usage = {}
        for (_, plural), evaluator in self._measured.items():
            names = evaluator.matching(hard)
            if not names:
                continue
            sums = dict.fromkeys(names, NOTHING)
            for obj in view.list(plural, namespace):
                if _in_scope(quota, evaluator, obj):
                    for name, amount in evaluator.usage(obj, now).items():
                        if name in sums:
                            sums[name] = sums[name].plus(amount)
            made |= sums
        scoped = bool(selectors_of(quota))
        for served, evaluator in self._counted.items():
            names = evaluator.matching(hard)
            if names:
                count = 0 if scoped else self._counts.get(served, Counter())[namespace]
                made |= dict.fromkeys(names, Amount.of(str(count)))
        return made


def _tracking(quotas: Iterable[Object], evaluator: Evaluator) -> Iterator[Key]:
    """Those whose status limits what the evaluator knows."""
    for quota in quotas:
        if evaluator.matching((quota.get("status") or {}).get("hard") or ()):
            yield Key(quota["metadata"]["namespace"], quota["metadata"]["name"])


def _in_scope(quota: Object, evaluator: Evaluator, obj: Object) -> bool:
    return all(evaluator.in_scope(selector, obj) for selector in selectors_of(quota))


def _hard(quota: Object, side: str) -> dict[str, int]:
    return {
        name: Amount.of(value).nanos for name, value in ((quota.get(side) or {}).get("hard") or {}).items()
    }


def _numbers(usage: Usage) -> dict[str, int]:
    return {name: amount.nanos for name, amount in usage.items()}


def _statuses(pod: Object) -> list[object]:
    status = pod.get("status") or {}
    return [
        (each["name"], each["resources"])
        for kind in ("containerStatuses", "initContainerStatuses")
        for each in status.get(kind) or ()
        if "resources" in each
    ]
