"""What a user does to a cluster, scenario by scenario: shell lines with kubectl, each in the scenario's own namespace.

A line is tried again until it succeeds where it begins with ``until``: what controllers do takes its time.
"""

from __future__ import annotations

import json
from typing import Final

import yaml

POD: Final = "{containers: [{name: main, image: a}]}"
LABELLED: Final = "metadata: {labels: {app: APP}}, spec: " + POD


def manifest(text: str) -> str:
    """A line that creates what the text says, in YAML on one line."""
    return f"kubectl create -f - <<'END'\n{json.dumps(yaml.safe_load(text))}\nEND"


def workload(kind: str, name: str, spec: str, version: str = "apps/v1") -> str:
    """A line that creates such an object, whose pods are labelled with its name."""
    template = LABELLED.replace("APP", name)
    selector = "" if kind == "Job" else f"selector: {{matchLabels: {{app: {name}}}}}, "
    body = f"{{{selector}{spec}template: {{{template}}}}}"
    return manifest(f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}, spec: {body}}}")


def job(name: str, spec: str, pod: str = "") -> str:
    """A line that creates a Job; ``pod`` is more of its pods' spec."""
    template = f"{{spec: {{restartPolicy: Never, containers: [{{name: main, image: a}}]{pod}}}}}"
    return manifest(
        f"{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{spec}template: {template}}}}}"
    )


NOWHERE: Final = ", nodeSelector: {where: nowhere}"

SCENARIOS: Final[dict[str, tuple[str, ...]]] = {
    "rollouts": (
        "kubectl create deployment web --image=a --replicas=3",
        "kubectl rollout status deployment/web --timeout=60s",
        "kubectl scale deployment/web --replicas=5",
        "kubectl rollout status deployment/web --timeout=60s",
        "kubectl set image deployment/web a=b",
        "kubectl rollout status deployment/web --timeout=60s",
        "kubectl rollout undo deployment/web",
        "kubectl rollout status deployment/web --timeout=60s",
        "kubectl rollout pause deployment/web",
        "kubectl set image deployment/web a=c",
        "kubectl scale deployment/web --replicas=4",
        "kubectl rollout resume deployment/web",
        "kubectl rollout status deployment/web --timeout=60s",
        workload("Deployment", "again", "replicas: 2, strategy: {type: Recreate}, "),
        "kubectl rollout status deployment/again --timeout=60s",
        "kubectl set image deployment/again main=b",
        "kubectl rollout status deployment/again --timeout=60s",
    ),
    "orphans": (
        "kubectl create deployment left --image=a --replicas=2",
        "kubectl rollout status deployment/left --timeout=60s",
        "kubectl delete deployment left --cascade=orphan",
        "kubectl create deployment fore --image=a --replicas=2",
        "kubectl rollout status deployment/fore --timeout=60s",
        "kubectl delete deployment fore --cascade=foreground",
        "kubectl create deployment back --image=a --replicas=2",
        "kubectl rollout status deployment/back --timeout=60s",
        "kubectl delete deployment back",
        "until [ -z \"$(kubectl get pods -l app=back -o name)\" ]",
    ),
    "jobs": (
        "kubectl create job one --image=a",
        "kubectl wait --for=condition=complete job/one --timeout=60s",
        job("many", "completions: 4, parallelism: 2, "),
        "kubectl wait --for=condition=complete job/many --timeout=60s",
        job("indexed", "completions: 3, parallelism: 3, completionMode: Indexed, "),
        "kubectl wait --for=condition=complete job/indexed --timeout=60s",
        job("late", "activeDeadlineSeconds: 2, ", NOWHERE),
        "kubectl wait --for=condition=failed job/late --timeout=60s",
        job("fails", "backoffLimit: 0, ", NOWHERE),
        "until kubectl get pods -l job-name=fails -o name | grep -q pod",
        ("kubectl patch $(kubectl get pods -l job-name=fails -o name) --subresource=status "
        "-p '{\"status\": {\"phase\": \"Failed\"}}'"),
        "kubectl wait --for=condition=failed job/fails --timeout=60s",
        job("waits", "suspend: true, "),
        "until kubectl get job waits -o jsonpath='{.status.conditions[0].type}' | grep -q Suspended",
        "kubectl patch job waits -p '{\"spec\": {\"suspend\": false}}'",
        "kubectl wait --for=condition=complete job/waits --timeout=60s",
        job("stops", "", NOWHERE),
        "until kubectl get pods -l job-name=stops -o name | grep -q pod",
        "kubectl patch job stops -p '{\"spec\": {\"suspend\": true}}'",
        "until kubectl get job stops -o jsonpath='{.status.conditions[*].type}' | grep -q Suspended",
        job("gone", "ttlSecondsAfterFinished: 1, "),
        "until ! kubectl get job gone",
        "kubectl create cronjob nightly --image=a --schedule='0 0 1 1 *'",
        "kubectl create job by-hand --from=cronjob/nightly",
        "kubectl wait --for=condition=complete job/by-hand --timeout=60s",
    ),
    "sets": (
        manifest("{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {clusterIP: None, selector: {app: db}, "
                 "ports: [{port: 80}]}}"),
        workload("StatefulSet", "db", "serviceName: db, replicas: 3, "),
        "kubectl rollout status statefulset/db --timeout=60s",
        "kubectl set image statefulset/db main=b",
        "kubectl rollout status statefulset/db --timeout=60s",
        "kubectl rollout undo statefulset/db",
        "kubectl rollout status statefulset/db --timeout=60s",
        "kubectl scale statefulset/db --replicas=1",
        "until [ $(kubectl get pods -l app=db -o name | wc -l) = 1 ]",
        workload("StatefulSet", "side", "podManagementPolicy: Parallel, serviceName: db, replicas: 2, "),
        "kubectl rollout status statefulset/side --timeout=60s",
        workload("StatefulSet", "ends", "serviceName: db, replicas: 2, "),
        "kubectl rollout status statefulset/ends --timeout=60s",
        "kubectl delete statefulset ends",
        "until [ -z \"$(kubectl get pods -l app=ends -o name)\" ]",
    ),
    "daemons": (
        workload("DaemonSet", "agent", ""),
        "kubectl rollout status daemonset/agent --timeout=60s",
        "kubectl set image daemonset/agent main=b",
        "kubectl rollout status daemonset/agent --timeout=60s",
        "kubectl rollout undo daemonset/agent",
        "kubectl rollout status daemonset/agent --timeout=60s",
        workload("DaemonSet", "ends", ""),
        "kubectl rollout status daemonset/ends --timeout=60s",
        "kubectl delete daemonset ends --cascade=orphan",
    ),
    "quotas": (
        "kubectl create quota small --hard=pods=2,configmaps=3,requests.cpu=1",
        "until kubectl get quota small -o jsonpath='{.status.used.pods}' | grep -q 0",
        workload("Deployment", "web", "replicas: 3, ").replace(
            '"image": "a"', '"image": "a", "resources": {"requests": {"cpu": "100m"}}'
        ),
        "until kubectl get deployment web -o jsonpath='{.status.conditions[*].type}' | grep -q ReplicaFailure",
        "until [ \"$(kubectl get deployment web -o jsonpath='{.status.readyReplicas}')\" = 2 ]",
        "kubectl create configmap one",
        "kubectl create configmap two",
        "! kubectl create configmap three",
    ),
    "services": (
        "kubectl create deployment web --image=a --replicas=3",
        "kubectl rollout status deployment/web --timeout=60s",
        "kubectl expose deployment web --port=80 --target-port=8080",
        manifest("{apiVersion: v1, kind: Service, metadata: {name: none}, spec: {selector: {app: nobody}, ports: [{port: 80}]}}"),
        manifest("{apiVersion: v1, kind: Service, metadata: {name: outside}, spec: {ports: [{port: 80}]}}"),
        manifest("{apiVersion: v1, kind: Endpoints, metadata: {name: outside}, subsets: [{addresses: [{ip: 192.0.2.1}], "
                 "ports: [{port: 80}]}]}"),
        ("until kubectl get endpointslices -l endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller."
        "k8s.io -o name | grep -q outside"),
        "kubectl scale deployment/web --replicas=2",
        ("until [ $(kubectl get endpointslices -l kubernetes.io/service-name=web "
        "-o jsonpath='{.items[*].endpoints[*].addresses}' | wc -w) = 2 ]"),
    ),
    "budgets": (
        "kubectl create deployment web --image=a --replicas=3",
        "kubectl create pdb web --selector=app=web --min-available=3",
        "kubectl create pdb most --selector=app=nobody --max-unavailable=50%",
        "kubectl rollout status deployment/web --timeout=60s",
        "until [ \"$(kubectl get pdb web -o jsonpath='{.status.currentHealthy}')\" = 3 ]",
        ("! kubectl create -f - --raw /api/v1/namespaces/$NAMESPACE/pods/$(kubectl get pods -o name | head -1 | cut -d/ -f2)"
        "/eviction <<< '{\"apiVersion\": \"policy/v1\", \"kind\": \"Eviction\"}'"),
    ),
    "scheduling": (
        manifest("{apiVersion: v1, kind: Pod, metadata: {name: nowhere}, spec: {nodeSelector: {where: nowhere}, "
                 "containers: [{name: main, image: a}]}}"),
        manifest("{apiVersion: v1, kind: Pod, metadata: {name: large}, spec: "
                 "{containers: [{name: main, image: a, resources: {requests: {cpu: 5000}}}]}}"),
        manifest("{apiVersion: v1, kind: Pod, metadata: {name: gated}, spec: {schedulingGates: [{name: x.example/wait}], "
                 "containers: [{name: main, image: a}]}}"),
        "until [ $(kubectl get events -o jsonpath='{.items[*].reason}' | tr ' ' '\\n' | grep -c FailedScheduling) -ge 2 ]",
    ),
    "volumes": (
        manifest("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: none}, spec: {accessModes: [ReadWriteOnce], "
                 "storageClassName: '', resources: {requests: {storage: 1Gi}}}}"),
        "until kubectl get events -o jsonpath='{.items[*].reason}' | grep -q FailedBinding",
    ),
    "autoscaling": (
        "kubectl create deployment web --image=a --replicas=2",
        "kubectl rollout status deployment/web --timeout=60s",
        *(
            manifest("{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: " + name + "}, "
                     "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: " + name + "}, maxReplicas: 4, "
                     "metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}}")
            for name in ("web", "absent")
        ),
        "until [ $(kubectl get hpa -o jsonpath='{.items[*].status.conditions[*].type}' | wc -w) -ge 2 ]",
    ),
    "replication": (
        manifest("{apiVersion: v1, kind: ReplicationController, metadata: {name: old}, spec: {replicas: 2, selector: {app: old}, "
                 "template: {" + LABELLED.replace("APP", "old") + "}}}"),
        "until [ \"$(kubectl get rc old -o jsonpath='{.status.readyReplicas}')\" = 2 ]",
        "kubectl label $(kubectl get pods -o name | head -1) app=other --overwrite",
        "until [ $(kubectl get pods -o name | wc -l) = 3 ]",
        "kubectl scale rc old --replicas=1",
        "until [ $(kubectl get pods -l app=old -o name | wc -l) = 1 ]",
    ),
}  # fmt: skip
