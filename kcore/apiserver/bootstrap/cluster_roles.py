"""The cluster roles and the roles of system namespaces that every cluster has.

A line at the margin names a role (``to`` a role that it is aggregated to, ``of`` the label that it aggregates), the
indented ones below are its rules: verbs ``on`` resources ``in`` groups, ``named`` so; or verbs ``at`` URLs. Source:
plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go and namespace_policy.go of Kubernetes 1.36 with its default feature gates.
"""

from typing import Final

CLUSTER_ROLES: Final = """\
admin of admin
cluster-admin
  * on * in *
  * at *
edit to admin of edit
system:aggregate-to-admin to admin
  create on localsubjectaccessreviews in authorization.k8s.io
  create delete deletecollection get list patch update watch on rolebindings roles in rbac.authorization.k8s.io
system:aggregate-to-edit to edit
  get list watch on pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy in core
  impersonate on serviceaccounts in core
  create delete deletecollection patch update on pods pods/attach pods/exec pods/portforward pods/proxy in core
  create on pods/eviction in core
  create delete deletecollection patch update on configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy in core
  create on serviceaccounts/token in core
  create delete deletecollection patch update on events in core events.k8s.io
  create delete deletecollection patch update on daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale in apps
  create delete deletecollection patch update on horizontalpodautoscalers in autoscaling
  create delete deletecollection patch update on cronjobs jobs in batch
  create delete deletecollection patch update on daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale in extensions
  create delete deletecollection patch update on poddisruptionbudgets in policy
  create delete deletecollection patch update on ingresses networkpolicies in networking.k8s.io
  create delete deletecollection get list patch update watch on leases in coordination.k8s.io
  create delete deletecollection patch update on resourceclaims resourceclaimtemplates in resource.k8s.io
system:aggregate-to-view to view
  get list watch on configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status in core
  get list watch on bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status in core
  get list watch on namespaces in core
  get list watch on events in core events.k8s.io
  get list watch on endpointslices in discovery.k8s.io
  get list watch on controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status in apps
  get list watch on horizontalpodautoscalers horizontalpodautoscalers/status in autoscaling
  get list watch on cronjobs cronjobs/status jobs jobs/status in batch
  get list watch on daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale in extensions
  get list watch on poddisruptionbudgets poddisruptionbudgets/status in policy
  get list watch on ingresses ingresses/status networkpolicies in networking.k8s.io
  get list watch on resourceclaims resourceclaims/status resourceclaimtemplates in resource.k8s.io
system:auth-delegator
  create on tokenreviews in authentication.k8s.io
  create on subjectaccessreviews in authorization.k8s.io
system:basic-user
  create on selfsubjectaccessreviews selfsubjectrulesreviews in authorization.k8s.io
  create on selfsubjectreviews in authentication.k8s.io
system:certificates.k8s.io:certificatesigningrequests:nodeclient
  create on certificatesigningrequests/nodeclient in certificates.k8s.io
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
  create on certificatesigningrequests/selfnodeclient in certificates.k8s.io
system:certificates.k8s.io:kube-apiserver-client-approver
  approve on signers in certificates.k8s.io named kubernetes.io/kube-apiserver-client
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
  approve on signers in certificates.k8s.io named kubernetes.io/kube-apiserver-client-kubelet
system:certificates.k8s.io:kubelet-serving-approver
  approve on signers in certificates.k8s.io named kubernetes.io/kubelet-serving
system:certificates.k8s.io:legacy-unknown-approver
  approve on signers in certificates.k8s.io named kubernetes.io/legacy-unknown
system:discovery
  get at /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
system:heapster
  get list watch on events namespaces nodes pods in core
  get list watch on deployments in extensions
system:kube-aggregator
  get list watch on endpoints services in core
system:kube-controller-manager
  create patch update on events in core events.k8s.io
  create on leases in coordination.k8s.io
  get update on leases in coordination.k8s.io named kube-controller-manager
  create on secrets serviceaccounts in core
  delete on secrets in core
  get on configmaps namespaces secrets serviceaccounts in core
  update on secrets serviceaccounts in core
  create on tokenreviews in authentication.k8s.io
  create on subjectaccessreviews in authorization.k8s.io
  list watch on * in *
  create on serviceaccounts/token in core
system:kube-dns
  list watch on endpoints services in core
system:kube-scheduler
  create patch update on events in core events.k8s.io
  create on leases in coordination.k8s.io
  get list update watch on leases in coordination.k8s.io named kube-scheduler
  create delete deletecollection get list patch update watch on leasecandidates in coordination.k8s.io
  get list watch on nodes in core
  delete get list watch on pods in core
  create on bindings pods/binding in core
  patch update on pods/status in core
  get list watch on replicationcontrollers services in core
  get list watch on replicasets in apps extensions
  get list watch on statefulsets in apps
  get list watch on poddisruptionbudgets in policy
  get list watch on persistentvolumeclaims persistentvolumes in core
  create on tokenreviews in authentication.k8s.io
  create on subjectaccessreviews in authorization.k8s.io
  get list watch on csinodes in storage.k8s.io
  get list watch on volumeattachments in storage.k8s.io
  get list watch on namespaces in core
  get list watch on csidrivers in storage.k8s.io
  get list watch on csistoragecapacities in storage.k8s.io
  get list watch on deviceclasses in resource.k8s.io
  get list patch update watch on resourceclaims in resource.k8s.io
  get list patch update watch on resourceclaims/status in resource.k8s.io
  update on pods/finalizers in core
  get list watch on resourceslices in resource.k8s.io
  create delete on resourceclaims in resource.k8s.io
  patch update on resourceclaims/binding in resource.k8s.io
system:kubelet-api-admin
  get list watch on nodes in core
  proxy on nodes in core
  * on nodes/log nodes/metrics nodes/proxy nodes/stats in core
  * on nodes/configz nodes/healthz nodes/pods in core
system:monitoring
  get at /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz
  get on nodes/metrics in core
system:node
  create on tokenreviews in authentication.k8s.io
  create on localsubjectaccessreviews subjectaccessreviews in authorization.k8s.io
  get list watch on services in core
  create get list watch on nodes in core
  patch update on nodes/status in core
  patch update on nodes in core
  create patch update on events in core events.k8s.io
  get list watch on pods in core
  create delete on pods in core
  patch update on pods/status in core
  create on pods/eviction in core
  get list watch on configmaps secrets in core
  get on persistentvolumeclaims persistentvolumes in core
  get on endpoints in core
  create get list watch on certificatesigningrequests in certificates.k8s.io
  create delete get patch update on leases in coordination.k8s.io
  get on volumeattachments in storage.k8s.io
  create on serviceaccounts/token in core
  get patch update on persistentvolumeclaims/status in core
  get list watch on csidrivers in storage.k8s.io
  create delete get patch update on csinodes in storage.k8s.io
  get list watch on runtimeclasses in node.k8s.io
  get on resourceclaims in resource.k8s.io
  deletecollection on resourceslices in resource.k8s.io
  get on serviceaccounts in core
system:node-bootstrapper
  create get list watch on certificatesigningrequests in certificates.k8s.io
system:node-problem-detector
  get on nodes in core
  patch on nodes/status in core
  create patch update on events in core events.k8s.io
system:node-proxier
  list watch on endpoints services in core
  get list watch on nodes in core
  create patch update on events in core events.k8s.io
  list watch on servicecidrs in networking.k8s.io
  list watch on endpointslices in discovery.k8s.io
system:persistent-volume-provisioner
  create delete get list watch on persistentvolumes in core
  get list update watch on persistentvolumeclaims in core
  get list watch on storageclasses in storage.k8s.io
  watch on events in core
  create patch update on events in core events.k8s.io
system:public-info-viewer
  get at /healthz /livez /readyz /version /version/
system:service-account-issuer-discovery
  get at /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/
system:volume-scheduler
  get list patch update watch on persistentvolumes in core
  get list watch on storageclasses in storage.k8s.io
  get list patch update watch on persistentvolumeclaims in core
view to edit of view
"""

NAMESPACE_ROLES: Final = """\
kube-public/system:controller:bootstrap-signer
  get list watch on configmaps in core
  update on configmaps in core named cluster-info
  create patch update on events in core events.k8s.io
kube-system/extension-apiserver-authentication-reader
  get list watch on configmaps in core named extension-apiserver-authentication
kube-system/system::leader-locking-kube-controller-manager
  create get list update watch on leases in coordination.k8s.io
  create get list update watch on leasecandidates in coordination.k8s.io
kube-system/system::leader-locking-kube-scheduler
  create get list update watch on leases in coordination.k8s.io
  create get list update watch on leasecandidates in coordination.k8s.io
kube-system/system:controller:bootstrap-signer
  get list watch on secrets in core
kube-system/system:controller:cloud-provider
  create get list watch on configmaps in core
kube-system/system:controller:token-cleaner
  delete get list watch on secrets in core
  create patch update on events in core events.k8s.io
"""
