"""Deployments: a replica set for each template, and pods moved from the old ones to the new one.

Source: pkg/controller/deployment of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers import deployment_revisions as revisions
from kcore.controllers import deployment_sizes as sizes
from kcore.controllers import deployment_status as statuses
from kcore.controllers.contract import (
    Action,
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Object,
    Outcome,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    done,
    must,
)
from kcore.controllers.owners import (
    by_controller,
    claim,
    controller_of,
    controller_reference,
    owned_or_orphaned,
    owner_key,
)
from kcore.controllers.refusals import is_terminating
from kcore.controllers.selection import selector_of
from kcore.controllers.template_hash import template_hash
from kcore.controllers.times import text_of

RESOURCE: Final = "deployments.apps"
SETS: Final = "replicasets.apps"
HASH_LABEL: Final = "pod-template-hash"

Doing = Generator[Sequence[Action], list[Outcome], Any]


class Round:
    """One look at a deployment: itself as it is becoming, its replica sets, the time."""

    def __init__(self, deployment: Object, owned: Sequence[Object], view: View, now_ms: int) -> None:
        self.deployment = deployment
        self.owned = list(owned)
        self.view = view
        self.now_ms = now_ms
        self.now = text_of(now_ms)
        self.new: Object | None = None
        self.old: list[Object] = []

    @property
    def every(self) -> list[Object]:
        """All replica sets."""
        return self.old if self.new is None else [*self.old, self.new]

    def put(self, replica_set: Object) -> None:
        """That is what the server has of it now."""
        uid = replica_set["metadata"]["uid"]
        self.old = [replica_set if each["metadata"]["uid"] == uid else each for each in self.old]
        if self.new is not None and self.new["metadata"]["uid"] == uid:
            self.new = replica_set

    @property
    def status(self) -> Object:
        """The deployment's status."""
        found: Object = self.deployment.get("status") or {}
        return found

    def set_status(self, status: Object) -> Doing:
        """The status is written, if it is another."""
        if status != self.status:
            self.deployment = {**self.deployment, "status": status}
            yield from self.write_status()

    def write_status(self) -> Doing:
        """The status, and annotations that the controller keeps, are written."""
        self.deployment = yield from must(Update(RESOURCE, self.deployment, "status"))


class Deployment(Controller):
    """``deployment-controller``."""

    name: ClassVar = "deployment-controller"
    aliases: ClassVar = ("deployment",)
    component: ClassVar = "deployment-controller"

    @property
    def watches(self) -> Sequence[Watched]:
        """Deployments, their replica sets, and pods that go."""
        return (
            Watched(RESOURCE, self._own_keys),
            Watched(SETS, self._set_keys, {"controller": by_controller}),
            Watched("pods", self._pod_keys, {"controller": by_controller}),
        )

    def _own_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        yield Key(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def _set_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        found: list[Key] = []
        for each in (old, new):
            key = None if each is None else owner_key(each, view, RESOURCE, "Deployment", "apps")
            if key is not None and key not in found:
                found.append(key)
        if new is not None and controller_of(new) is None and "deletionTimestamp" not in new["metadata"]:
            labels = new["metadata"].get("labels") or {}
            for deployment in view.list(RESOURCE, new["metadata"]["namespace"]):
                selector = selector_of(deployment["spec"].get("selector"))
                if labels and not selector.empty and selector.matches(labels):
                    found.append(Key(new["metadata"]["namespace"], deployment["metadata"]["name"]))
        return found

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None or old is None:
            return ()
        owner = owner_key(old, view, SETS, "ReplicaSet", "apps")
        replica_set = None if owner is None else view.get(SETS, *owner)
        key = None if replica_set is None else owner_key(replica_set, view, RESOURCE, "Deployment", "apps")
        if key is None:
            return ()
        deployment = view.get(RESOURCE, *key)
        if deployment is None or sizes.is_rolling(deployment):
            return ()
        return () if _pods(deployment, view) else (key,)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """One step of scaling, rollout or rollback, and the status."""
        deployment = view.get(RESOURCE, *key)
        if deployment is None:
            return None
        if deployment["spec"].get("selector") == {}:
            text = "This deployment is selecting all pods. A non-empty selector is required."
            yield [Tell(deployment, "Warning", "SelectingAll", text)]
            return None
        selector = selector_of(deployment["spec"]["selector"])
        owned = yield from claim(
            deployment, owned_or_orphaned(view, SETS, deployment), selector.matches, resource=SETS,
            owner_resource=RESOURCE, reference=controller_reference("apps/v1", "Deployment", deployment),
        )  # fmt: skip
        it = Round(deployment, sizes.by_age(owned), view, now_ms)
        if "deletionTimestamp" in deployment["metadata"]:
            yield from _sorted_out(it, create=False)
            yield from it.set_status(statuses.calculated(it.deployment, it.every, it.new, it.now))
            return None
        yield from _paused_condition(it)
        if deployment["spec"].get("paused"):
            yield from _scaled(it)
            return None
        if revisions.rollback_to(it.deployment) is not None:
            yield from _rolled_back(it)
            return None
        if (yield from _is_being_scaled(it)):
            yield from _scaled(it)
            return None
        again_ms: int | None = yield from (_rolling(it) if sizes.is_rolling(deployment) else _recreate(it))
        return again_ms


def _pods(deployment: Object, view: View) -> list[Object]:
    """The pods of all its replica sets."""
    return [
        pod
        for replica_set in view.by(SETS, "controller", deployment["metadata"]["uid"])
        for pod in view.by("pods", "controller", replica_set["metadata"]["uid"])
    ]


def _paused_condition(it: Round) -> Doing:
    if statuses.deadline_seconds(it.deployment) is None:
        return
    found = statuses.condition(it.status, statuses.PROGRESSING)
    reason = None if found is None else found.get("reason")
    paused = bool(it.deployment["spec"].get("paused"))
    if reason == statuses.TIMED_OUT or paused == (reason == statuses.PAUSED):
        return
    said = (
        (statuses.PAUSED, "Deployment is paused") if paused else (statuses.RESUMED, "Deployment is resumed")
    )
    new = statuses.made(statuses.PROGRESSING, "Unknown", *said, it.now)
    yield from it.set_status(statuses.with_condition(it.status, new))


# -- which replica set is the new one -------------------------------------------------------------------------------


def _sorted_out(it: Round, *, create: bool) -> Doing:
    """The new replica set, made if so asked, and the old ones are known; revisions are written down."""
    template = it.deployment["spec"]["template"]
    it.new = next((each for each in it.owned if same_template(each["spec"]["template"], template)), None)
    it.old = [each for each in it.owned if each is not it.new]
    revision = revisions.newest(it.old) + 1
    if it.new is not None:
        yield from _found(it, it.new, revision)
    elif create:
        yield from _created(it, revision)


def same_template(one: Object, other: Object) -> bool:
    """Whether two templates are equal but for the label that tells replica sets apart."""
    return _bare(one) == _bare(other)


def _bare(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    metadata.pop("labels", None)
    metadata.pop("creationTimestamp", None)
    if labels:
        metadata["labels"] = labels
    return {**template, "metadata": metadata}


def _found(it: Round, new: Object, revision: int) -> Doing:
    annotations = revisions.of_replica_set(it.deployment, new, revision, exists=True)
    seconds = it.deployment["spec"].get("minReadySeconds", 0)
    if annotations != (new["metadata"].get("annotations") or {}) or seconds != new["spec"].get(
        "minReadySeconds", 0
    ):
        spec = {**new["spec"], "minReadySeconds": seconds}
        changed = {**new, "metadata": {**new["metadata"], "annotations": annotations}, "spec": spec}
        it.new = yield from must(Update(SETS, changed))
        return
    needs = _note_revision(it, annotations.get(revisions.REVISION, ""))
    if statuses.deadline_seconds(it.deployment) is not None and not statuses.condition(
        it.status, statuses.PROGRESSING
    ):
        message = f'Found new replica set "{new["metadata"]["name"]}"'
        condition = statuses.made(statuses.PROGRESSING, "True", statuses.FOUND, message, it.now)
        it.deployment = {**it.deployment, "status": statuses.with_condition(it.status, condition)}
        needs = True
    if needs:
        yield from it.write_status()


def _note_revision(it: Round, revision: str) -> bool:
    metadata = it.deployment["metadata"]
    annotations = metadata.get("annotations") or {}
    if annotations.get(revisions.REVISION) == revision:
        return False
    noted = {**annotations, revisions.REVISION: revision}
    it.deployment = {**it.deployment, "metadata": {**metadata, "annotations": noted}}
    return True


def _made(it: Round, revision: int) -> Object:
    deployment = it.deployment
    template = deployment["spec"]["template"]
    metadata = template.get("metadata") or {}
    value = template_hash(template, it.status.get("collisionCount"))
    labels = {**(metadata.get("labels") or {}), HASH_LABEL: value}
    selector = deployment["spec"]["selector"]
    new: Object = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{value}", "namespace": deployment["metadata"]["namespace"],
            "ownerReferences": [controller_reference("apps/v1", "Deployment", deployment)], "labels": labels,
        },
        "spec": {
            "replicas": 0, "minReadySeconds": deployment["spec"].get("minReadySeconds", 0),
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: value}},
            "template": {**template, "metadata": {**metadata, "labels": labels}},
        },
    }  # fmt: skip
    new["spec"]["replicas"] = sizes.new_size(deployment, [*it.old, new], new)
    new["metadata"]["annotations"] = revisions.of_replica_set(deployment, new, revision, exists=False)
    return new


def _created(it: Round, revision: int) -> Doing:
    wanted = _made(it, revision)
    name = wanted["metadata"]["name"]
    (outcome,) = yield [Create(SETS, wanted)]
    exists = isinstance(outcome, ApiError) and outcome.reason == "AlreadyExists"
    if exists:
        assert isinstance(outcome, ApiError)
        outcome = yield from _collided(it, wanted, outcome)
    if isinstance(outcome, ApiError):
        if not is_terminating(outcome):
            yield from _not_created(it, name, outcome)
        raise Failed(str(outcome)) from outcome
    assert isinstance(outcome, dict)
    it.new = outcome
    count = wanted["spec"]["replicas"]
    if not exists and count:
        message = f"Scaled up replica set {name} from 0 to {count}"
        yield [Tell(it.deployment, "Normal", "ScalingReplicaSet", message)]
    needs = _note_revision(it, str(revision))
    if not exists and statuses.deadline_seconds(it.deployment) is not None:
        message = f'Created new replica set "{name}"'
        condition = statuses.made(statuses.PROGRESSING, "True", statuses.CREATED, message, it.now)
        it.deployment = {**it.deployment, "status": statuses.with_condition(it.status, condition)}
        needs = True
    if needs:
        yield from it.write_status()


def _collided(it: Round, wanted: Object, error: ApiError) -> Doing:
    """One of that name is there: ours after all, or another, and the next try will hash to another name."""
    found = it.view.get(SETS, wanted["metadata"]["namespace"], wanted["metadata"]["name"])
    if found is None:
        raise Failed(str(error)) from error
    held = controller_of(found)
    template = it.deployment["spec"]["template"]
    if (
        held is not None
        and held["uid"] == it.deployment["metadata"]["uid"]
        and same_template(found["spec"]["template"], template)
    ):
        return found
    count = it.status.get("collisionCount", 0) + 1
    yield from it.set_status({**it.status, "collisionCount": count})
    raise Failed(str(error)) from error


def _not_created(it: Round, name: str, error: ApiError) -> Doing:
    message = f'Failed to create new replica set "{name}": {error}'
    if statuses.deadline_seconds(it.deployment) is not None:
        condition = statuses.made(statuses.PROGRESSING, "False", statuses.NOT_CREATED, message, it.now)
        status = statuses.with_condition(it.status, condition)
        yield [Update(RESOURCE, {**it.deployment, "status": status}, "status")]
    yield [Tell(it.deployment, "Warning", statuses.NOT_CREATED, message)]


# -- scaling --------------------------------------------------------------------------------------------------------


def _is_being_scaled(it: Round) -> Doing:
    yield from _sorted_out(it, create=False)
    for each in sizes.active(it.every):
        noted = sizes.noted(each, sizes.DESIRED)
        if noted is not None and noted != sizes.wanted(it.deployment):
            return True
    return False


def _scale(it: Round, replica_set: Object, count: int, *, force: bool = False) -> Doing:
    """The replica set has that size, and knows the deployment's; True where its size changed."""
    before = sizes.size(replica_set)
    if not force and before == count:
        return False
    annotations = replica_set["metadata"].get("annotations") or {}
    wanted = {**annotations, **sizes.replicas_annotations(it.deployment)}
    if before == count and annotations == wanted:
        return False
    changed = {
        **replica_set, "metadata": {**replica_set["metadata"], "annotations": wanted},
        "spec": {**replica_set["spec"], "replicas": count},
    }  # fmt: skip
    it.put((yield from must(Update(SETS, changed))))
    if before == count:
        return False
    name, way = replica_set["metadata"]["name"], "up" if before < count else "down"
    message = f"Scaled {way} replica set {name} from {before} to {count}"
    yield [Tell(it.deployment, "Normal", "ScalingReplicaSet", message)]
    return True


def _scaled(it: Round) -> Doing:
    """The replica sets follow the deployment's size without a rollout going on."""
    yield from _sorted_out(it, create=False)
    yield from _scale_all(it)
    if it.deployment["spec"].get("paused") and revisions.rollback_to(it.deployment) is None:
        yield from _cleaned_up(it)
    yield from it.set_status(statuses.calculated(it.deployment, it.every, it.new, it.now))


def _scale_all(it: Round) -> Doing:
    single = _active_or_latest(it)
    if single is not None:
        yield from _scale(it, single, sizes.wanted(it.deployment))
    elif sizes.is_saturated(it.deployment, it.new):
        for each in sizes.active(it.old):
            yield from _scale(it, each, 0)
    elif sizes.is_rolling(it.deployment):
        active = sizes.active(it.every)
        counts = sizes.proportional(it.deployment, active)
        for each in active:
            yield from _scale(it, each, counts[each["metadata"]["name"]], force=True)


def _active_or_latest(it: Round) -> Object | None:
    """The only one with pods, the newest where none has any, None where several have."""
    if not it.every:
        return None
    active = sizes.active(it.every)
    if not active:
        return it.new if it.new is not None else sizes.by_age(it.old)[-1]
    return active[0] if len(active) == 1 else None


def _cleaned_up(it: Round) -> Doing:
    """Old replica sets beyond the history's limit are gone."""
    limit = it.deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == sizes.INT32_MAX:
        return
    alive = [each for each in it.old if "deletionTimestamp" not in each["metadata"]]
    ordered = sorted(sizes.by_age(alive), key=revisions.number)
    going = []
    for each in ordered[: max(0, len(ordered) - limit)]:
        status = each.get("status") or {}
        observed = status.get("observedGeneration", 0) >= each["metadata"].get("generation", 0)
        if not status.get("replicas") and not sizes.size(each) and observed:
            metadata = each["metadata"]
            going.append(Delete(SETS, metadata["namespace"], metadata["name"], metadata["uid"]))
    if going:
        done((yield going))


# -- rollouts -------------------------------------------------------------------------------------------------------


def _rollout_status(it: Round) -> Doing:
    status = statuses.rolled_out(it.deployment, it.every, it.new, it.now_ms)
    if status == it.status:
        return statuses.check_again_ms(it.deployment, status, it.now_ms)
    yield from it.set_status(status)
    return None


def _rolling(it: Round) -> Doing:
    yield from _sorted_out(it, create=True)
    assert it.new is not None
    wanted = sizes.wanted(it.deployment)
    if sizes.size(it.new) != wanted:
        more = sizes.size(it.new) < wanted
        count = sizes.new_size(it.deployment, it.every, it.new) if more else wanted
        if (yield from _scale(it, it.new, count)):
            return (yield from _rollout_status(it))
    if (yield from _old_scaled_down(it)):
        return (yield from _rollout_status(it))
    if statuses.is_complete(it.deployment, it.status):
        yield from _cleaned_up(it)
    return (yield from _rollout_status(it))


def _old_scaled_down(it: Round) -> Doing:
    """Old pods went, as many as may be missing: first those that are not available anyway."""
    assert it.new is not None
    old = sizes.by_age(sizes.active(it.old))
    if not old:
        return False
    least = sizes.wanted(it.deployment) - sizes.max_unavailable(it.deployment)
    new_missing = sizes.size(it.new) - sizes.counted((it.new,), "availableReplicas")
    most = sizes.total(it.every) - least - new_missing
    if most <= 0:
        return False
    down = 0
    for each in old:
        missing = sizes.size(each) - sizes.counted((each,), "availableReplicas")
        if down >= most:
            break
        if missing < 0:  # its status is from before it was scaled down: nobody knows how many are available
            return False
        if missing:
            count = min(most - down, missing)
            yield from _scale(it, each, sizes.size(each) - count)
            down += count
    left = sum(map(sizes.available_at_most, it.every)) - least
    for each in sizes.by_age(sizes.active(it.old)):
        count = min(sizes.size(each), left)
        if count > 0:
            yield from _scale(it, each, sizes.size(each) - count)
            left -= count
            down += count
    return down > 0


def _recreate(it: Round) -> Doing:
    yield from _sorted_out(it, create=False)
    scaled = False
    for each in sizes.active(it.old):
        scaled |= yield from _scale(it, each, 0)
    if scaled or _old_pods_run(it):
        return (yield from _rollout_status(it))
    if it.new is None:
        yield from _sorted_out(it, create=True)
    assert it.new is not None
    yield from _scale(it, it.new, sizes.wanted(it.deployment))
    if statuses.is_complete(it.deployment, it.status):
        yield from _cleaned_up(it)
    return (yield from _rollout_status(it))


def _old_pods_run(it: Round) -> bool:
    if sizes.counted(it.old, "replicas"):
        return True
    return any(
        (pod.get("status") or {}).get("phase") not in ("Failed", "Succeeded")
        for each in it.old
        for pod in it.view.by("pods", "controller", each["metadata"]["uid"])
    )


# -- rollback by the annotation of extensions/v1beta1 ---------------------------------------------------------------


def _rolled_back(it: Round) -> Doing:
    yield from _sorted_out(it, create=True)
    revision = revisions.rollback_to(it.deployment) or revisions.last(it.every)
    name = it.deployment["metadata"]["name"]
    found = (
        next((each for each in it.every if revisions.number(each) == revision), None) if revision else None
    )
    if found is None:
        what = "the revision to rollback to" if revision else "last revision"
        reason = "DeploymentRollbackRevisionNotFound"
        yield [Tell(it.deployment, "Warning", reason, f"Unable to find {what}.")]
        yield from must(Update(RESOURCE, revisions.without_rollback(it.deployment)))
        return
    if same_template(found["spec"]["template"], it.deployment["spec"]["template"]):
        text = f'The rollback revision contains the same template as current deployment "{name}"'
        yield [Tell(it.deployment, "Warning", "DeploymentRollbackTemplateUnchanged", text)]
        yield from must(Update(RESOURCE, revisions.without_rollback(it.deployment)))
        return
    back = {**it.deployment, "spec": {**it.deployment["spec"], "template": _bare(found["spec"]["template"])}}
    back = revisions.with_annotations_of(back, found)
    yield from must(Update(RESOURCE, revisions.without_rollback(back)))
    text = f'Rolled back deployment "{name}" to revision {revision}'
    yield [Tell(it.deployment, "Normal", "DeploymentRollback", text)]
