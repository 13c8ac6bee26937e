"""The cluster roles of the controller manager's controllers; each is bound to the account of its controller.

A line at the margin names a role (``to`` a role that it is aggregated to, ``of`` the label that it aggregates), the
indented ones below are its rules: verbs ``on`` resources ``in`` groups, ``named`` so; or verbs ``at`` URLs. Source:
plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go of Kubernetes 1.36 with its default feature gates.
"""

from typing import Final

CONTROLLER_ROLES: Final = """\
system:controller:attachdetach-controller
  list watch on persistentvolumeclaims persistentvolumes in core
  get list watch on nodes in core
  patch update on nodes/status in core
  list watch on pods in core
  create patch update on events in core events.k8s.io
  create delete get list watch on volumeattachments in storage.k8s.io
  get list watch on csidrivers in storage.k8s.io
  get list watch on csinodes in storage.k8s.io
system:controller:certificate-controller
  delete get list watch on certificatesigningrequests in certificates.k8s.io
  update on certificatesigningrequests/approval certificatesigningrequests/status in certificates.k8s.io
  approve on signers in certificates.k8s.io named kubernetes.io/kube-apiserver-client-kubelet
  sign on signers in certificates.k8s.io named kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown
  create on subjectaccessreviews in authorization.k8s.io
  create patch update on events in core events.k8s.io
system:controller:clusterrole-aggregation-controller
  escalate get list patch update watch on clusterroles in rbac.authorization.k8s.io
system:controller:cronjob-controller
  get list update watch on cronjobs in batch
  create delete get list patch update watch on jobs in batch
  update on cronjobs/status in batch
  update on cronjobs/finalizers in batch
  delete list watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:daemon-set-controller
  get list watch on daemonsets in apps extensions
  update on daemonsets/status in apps extensions
  update on daemonsets/finalizers in apps extensions
  list watch on nodes in core
  create delete list patch watch on pods in core
  create on pods/binding in core
  create delete get list patch update watch on controllerrevisions in apps
  create patch update on events in core events.k8s.io
system:controller:deployment-controller
  get list update watch on deployments in apps extensions
  update on deployments/status in apps extensions
  update on deployments/finalizers in apps extensions
  create delete get list patch update watch on replicasets in apps extensions
  get list update watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:device-taint-eviction-controller
  delete get list watch on pods in core
  patch update on pods/status in core
  get list watch on resourceclaims in resource.k8s.io
  get list watch on resourceslices in resource.k8s.io
  get list watch on deviceclasses in resource.k8s.io
  create patch update on events in core events.k8s.io
system:controller:disruption-controller
  get list watch on deployments in apps extensions
  get list watch on replicasets in apps extensions
  get list watch on replicationcontrollers in core
  get list watch on poddisruptionbudgets in policy
  get list watch on statefulsets in apps
  update on poddisruptionbudgets/status in policy
  patch update on pods/status in core
  get on */scale in *
  create patch update on events in core events.k8s.io
system:controller:endpoint-controller
  get list watch on pods services in core
  create delete get list update watch on endpoints in core
  create on endpoints/restricted in core
  create patch update on events in core events.k8s.io
system:controller:endpointslice-controller
  get list watch on nodes pods services in core
  update on services/finalizers in core
  create delete get list update watch on endpointslices in discovery.k8s.io
  create on endpointslices/restricted in discovery.k8s.io
  create patch update on events in core events.k8s.io
system:controller:endpointslicemirroring-controller
  get list watch on endpoints services in core
  update on services/finalizers in core
  update on endpoints/finalizers in core
  create delete get list update watch on endpointslices in discovery.k8s.io
  create on endpointslices/restricted in discovery.k8s.io
  create patch update on events in core events.k8s.io
system:controller:ephemeral-volume-controller
  get list watch on pods in core
  update on pods/finalizers in core
  create get list watch on persistentvolumeclaims in core
  create patch update on events in core events.k8s.io
system:controller:expand-controller
  get list patch update watch on persistentvolumes in core
  patch update on persistentvolumeclaims/status in core
  get list watch on persistentvolumeclaims in core
  create patch update on events in core events.k8s.io
system:controller:generic-garbage-collector
  delete get list patch update watch on * in *
  create patch update on events in core events.k8s.io
system:controller:horizontal-pod-autoscaler
  get list watch on horizontalpodautoscalers in autoscaling
  update on horizontalpodautoscalers/status in autoscaling
  get update on */scale in *
  list watch on pods in core
  list watch on pods in metrics.k8s.io
  get list watch on * in custom.metrics.k8s.io
  get list watch on * in external.metrics.k8s.io
  create patch update on events in core events.k8s.io
system:controller:job-controller
  get list patch update watch on jobs in batch
  update on jobs/status in batch
  update on jobs/finalizers in batch
  create delete list patch watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:legacy-service-account-token-cleaner
  get on configmaps in core named kube-apiserver-legacy-service-account-token-tracking
  delete patch on secrets in core
system:controller:namespace-controller
  delete get list watch on namespaces in core
  update on namespaces/finalize namespaces/status in core
  delete deletecollection get list watch on * in *
system:controller:node-controller
  delete get list patch update watch on nodes in core
  patch update on nodes/status in core
  patch update on pods/status in core
  delete get list watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:persistent-volume-binder
  create delete get list update watch on persistentvolumes in core
  update on persistentvolumes/status in core
  get list update watch on persistentvolumeclaims in core
  update on persistentvolumeclaims/status in core
  create delete get list watch on pods in core
  get list watch on storageclasses in storage.k8s.io
  list watch on nodes in core
  create patch update on events in core events.k8s.io
  watch on events in core
system:controller:pod-garbage-collector
  delete list watch on pods in core
  get list watch on nodes in core
  patch on pods/status in core
system:controller:pv-protection-controller
  get list update watch on persistentvolumes in core
  create patch update on events in core events.k8s.io
system:controller:pvc-protection-controller
  get list update watch on persistentvolumeclaims in core
  update on persistentvolumeclaims/status in core
  get list watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:replicaset-controller
  get list update watch on replicasets in apps extensions
  update on replicasets/status in apps extensions
  update on replicasets/finalizers in apps extensions
  create delete list patch watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:replication-controller
  get list update watch on replicationcontrollers in core
  update on replicationcontrollers/status in core
  update on replicationcontrollers/finalizers in core
  create delete list patch watch on pods in core
  create patch update on events in core events.k8s.io
system:controller:resource-claim-controller
  get list watch on pods in core
  update on pods/finalizers in core
  create delete get list watch on resourceclaims in resource.k8s.io
  patch update on resourceclaims resourceclaims/status in resource.k8s.io
  patch update on pods/status in core
  create patch update on events in core events.k8s.io
  patch update on resourceclaims/binding in resource.k8s.io
system:controller:resourcequota-controller
  list watch on * in *
  update on resourcequotas/status in core
  create patch update on events in core events.k8s.io
system:controller:root-ca-cert-publisher
  create update on configmaps in core
  create patch update on events in core events.k8s.io
system:controller:route-controller
  list watch on nodes in core
  patch on nodes/status in core
  create patch update on events in core events.k8s.io
system:controller:selinux-warning-controller
  create patch update on events in core events.k8s.io
  get list watch on persistentvolumes in core
  get list watch on persistentvolumeclaims in core
  get list watch on pods in core
  get list watch on csidrivers in storage.k8s.io
system:controller:service-account-controller
  create on serviceaccounts in core
  create patch update on events in core events.k8s.io
system:controller:service-ca-cert-publisher
  create update on configmaps in core
  create patch update on events in core events.k8s.io
system:controller:service-cidrs-controller
  get list patch update watch on servicecidrs in networking.k8s.io
  patch update on servicecidrs/finalizers in networking.k8s.io
  patch update on servicecidrs/status in networking.k8s.io
  get list watch on ipaddresses in networking.k8s.io
  create patch update on events in core events.k8s.io
system:controller:service-controller
  get list watch on services in core
  patch update on services/status in core
  list watch on nodes in core
  create patch update on events in core events.k8s.io
system:controller:statefulset-controller
  list watch on pods in core
  get list watch on statefulsets in apps
  update on statefulsets/status in apps
  update on statefulsets/finalizers in apps
  create delete get patch update on pods in core
  create delete get list patch update watch on controllerrevisions in apps
  create get list watch on persistentvolumeclaims in core
  delete update on persistentvolumeclaims in core
  update on pods/finalizers in core
  create patch update on events in core events.k8s.io
system:controller:ttl-after-finished-controller
  delete get list watch on jobs in batch
  create patch update on events in core events.k8s.io
system:controller:ttl-controller
  list patch update watch on nodes in core
  create patch update on events in core events.k8s.io
system:controller:validatingadmissionpolicy-status-controller
  get list watch on validatingadmissionpolicies in admissionregistration.k8s.io
  get patch update on validatingadmissionpolicies/status in admissionregistration.k8s.io
  create patch update on events in core events.k8s.io
system:controller:volumeattributesclass-protection-controller
  get list watch on persistentvolumeclaims in core
  get list watch on persistentvolumes in core
  get list update watch on volumeattributesclasses in storage.k8s.io
  create patch update on events in core events.k8s.io
"""
