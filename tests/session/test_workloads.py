"""Deployments, replica sets, stateful sets, daemon sets and the autoscaler, as a user sees them."""

from __future__ import annotations

from tests.session.user import NODES, User, all_run, condition, names, nodes_of, workload


def test_a_deployment_rolls_out_pauses_and_is_undone(user: User) -> None:
    user.space("rolls")
    user.run("create deployment web --image=web:1 --replicas=3 --port=80")
    assert "successfully rolled out" in user.run("rollout status deployment/web --timeout=45s")
    user.run("scale deployment/web --replicas=6")
    pods = user.until("pods -l app=web", all_run(6))
    assert len(nodes_of(pods)) == NODES  # the scheduler has spread them
    assert all(pod["status"]["podIP"] for pod in pods)

    user.run("rollout pause deployment/web")
    user.run("set image deployment/web web=web:2")
    user.wait("deployment/web", "jsonpath={.status.observedGeneration}=4")
    assert len(user.items("replicasets")) == 1
    user.run("rollout resume deployment/web")
    assert "successfully rolled out" in user.run("rollout status deployment/web --timeout=45s")
    assert len(user.items("replicasets")) == 2
    user.run("rollout undo deployment/web")
    user.run("rollout status deployment/web --timeout=45s")
    pods = user.until("pods -l app=web", all_run(6))
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"web:1"}
    history = user.run("rollout history deployment/web").split()
    assert [word for word in history if word.isdigit()] == ["2", "3"]
    assert "Scaled up replica set" in user.run("events --for deployment/web")


def test_a_deployment_that_makes_no_progress_says_so(user: User) -> None:
    delay = {"pod-ready.stage.kwok.x-k8s.io/delay": "10m"}
    user.apply(workload("Deployment", "stuck", delay, progressDeadlineSeconds=1))
    said = user.refused("rollout status deployment/stuck --timeout=45s")
    assert 'deployment "stuck" exceeded its progress deadline' in said
    assert condition(user.get("deployment/stuck"), "Progressing")["reason"] == "ProgressDeadlineExceeded"
    user.run("delete deployment/stuck")


def test_a_pod_that_goes_or_is_given_away_is_replaced(user: User) -> None:
    user.space("kept")
    controller = workload("ReplicationController", "old", replicas=1)
    controller["apiVersion"] = "v1"
    controller["spec"]["selector"] = {"app": "old"}
    user.apply(workload("ReplicaSet", "kept", replicas=2), controller)
    before = user.until("pods -l app=kept", all_run(2))
    gone, given = sorted(names(before))
    user.run(f"delete pod {gone}")
    user.run(f"label pod {given} app=free --overwrite")
    after = user.until("pods -l app=kept", all_run(2))
    assert not names(after) & names(before)
    assert "ownerReferences" not in user.get(f"pod {given}")["metadata"]
    user.run(f"label pod {given} app=kept --overwrite")  # taken back: one is too many
    user.until("pods -l app=kept", all_run(2))
    user.run("scale rc/old --replicas=2")
    user.wait("rc/old", "jsonpath={.status.readyReplicas}=2")


def test_a_stateful_set_goes_one_by_one_and_keeps_its_claims(user: User) -> None:
    user.space("states")
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}},
        },
    }  # fmt: skip
    db = workload(
        "StatefulSet", "db", replicas=3, serviceName="db", volumeClaimTemplates=[claim],
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
        persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Retain"},
    )  # fmt: skip
    volumes = [
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"state-{number}"},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
            },
        }
        for number in range(3)
    ]  # fmt: skip
    user.apply(db, *volumes)
    user.run("rollout status statefulset/db --timeout=45s")
    pods = user.items("pods -l app=db")
    assert [pod["metadata"]["name"] for pod in pods] == ["db-0", "db-1", "db-2"]
    user.run("set image statefulset/db main=web:2")
    user.run("rollout status statefulset/db --timeout=45s")
    images = [pod["spec"]["containers"][0]["image"] for pod in user.until("pods -l app=db", all_run(3))]
    assert images == ["web:1", "web:1", "web:2"]
    user.run("scale statefulset/db --replicas=1")
    user.wait("pvc/data-db-1 pvc/data-db-2", "delete")
    assert names(user.items("pods,pvc -l app=db")) == {"db-0", "data-db-0"}
    user.run("delete statefulset/db")
    user.wait("pod/db-0", "delete")
    assert names(user.items("pvc")) == {"data-db-0"}


def test_a_daemon_set_is_on_every_node_that_it_may_be_on(user: User) -> None:
    user.space("daemons")
    user.apply(workload("DaemonSet", "agent", pod={"nodeSelector": {"agent": "yes"}}))
    user.run("label nodes --all agent=yes")
    user.wait("ds/agent", f"jsonpath={{.status.numberReady}}={NODES}")
    user.run("label node node-000000 agent-")
    user.wait("ds/agent", f"jsonpath={{.status.numberReady}}={NODES - 1}")
    user.run("set image ds/agent main=web:2")
    assert "successfully rolled out" in user.run("rollout status ds/agent --timeout=45s")
    pods = user.until("pods -l app=agent", all_run(NODES - 1))
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"web:2"}
    assert "node-000000" not in nodes_of(pods)
    assert len(user.items("controllerrevisions")) == 2


def test_a_deployment_grows_with_its_use(user: User) -> None:
    user.space("grows")
    busy = workload("Deployment", "busy", {"kwok.x-k8s.io/usage-cpu": "150m"}, replicas=1)
    busy["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    user.apply(busy)
    user.run("rollout status deployment/busy --timeout=45s")
    assert "150m" in user.run("top pods")
    assert "CPU(cores)" in user.run("top nodes")
    user.run("autoscale deployment/busy --cpu-percent=100 --min=1 --max=3")
    user.wait("hpa/busy", 'jsonpath={.status.conditions[?(@.reason=="TooManyReplicas")].type}=ScalingLimited')
    user.wait("deployment/busy", "jsonpath={.status.readyReplicas}=3")
    hpa = user.get("hpa/busy")
    assert hpa["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"] == 150
    user.run("delete hpa/busy deployment/busy")


def test_what_a_pod_says_and_does(user: User) -> None:
    user.space("says")
    user.run("run one --image=web:1")
    user.wait("pod/one", "condition=Ready")
    assert "started" in user.run("logs one")
    assert user.run("exec one -- hostname").strip() == "one"
    assert "Successfully assigned says/one to node-" in user.run("describe pod one")
    container = {"resources": {"requests": {"cpu": "1000"}}, "name": "main", "image": "web:1"}
    user.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "huge"}, "spec": {"containers": [container]}}
    )
    why = f"0/{NODES} nodes are available: {NODES} Insufficient cpu"
    user.until("events --field-selector reason=FailedScheduling", lambda said: why in str(said))
    user.run("delete pod one huge --timeout=45s")
    assert 'pods "one" not found' in user.refused("get pod one")
