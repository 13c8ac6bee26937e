package main

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var (
	named    = metav1.ObjectMeta{Name: "every"}
	labels   = map[string]string{"app": "every"}
	selector = &metav1.LabelSelector{MatchLabels: labels}
	small    = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	podSpec  = corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: "main", Image: "registry.k8s.io/pause:3.10", Resources: corev1.ResourceRequirements{Requests: small, Limits: small},
			Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			Env:            []corev1.EnvVar{{Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http")}}},
			VolumeMounts:   []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
		}},
		Volumes:     []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(resource.MustParse("1Gi"))}}}},
		Tolerations: []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To(int64(7))}},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}}},
		}}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector}},
	}
	template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec}
	once     = corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: podSpec.Containers[:1], Volumes: podSpec.Volumes}}
	claim    = corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}
)

func resources() []kindOf {
	var found []kindOf
	add := func(gv schema.GroupVersion, plural string, namespaced bool, object runtime.Object) {
		found = append(found, kindOf{gv.WithResource(plural), namespaced, object})
	}
	coreResources(add)
	workloadResources(add)
	otherResources(add)
	clusterResources(add)
	return found
}

type adder func(gv schema.GroupVersion, plural string, namespaced bool, object runtime.Object)

func coreResources(add adder) {
	core := corev1.SchemeGroupVersion
	add(core, "configmaps", true, &corev1.ConfigMap{ObjectMeta: named, Data: map[string]string{"k": "v", "empty": ""}, BinaryData: map[string][]byte{"b": {0, 255}}})
	add(core, "secrets", true, &corev1.Secret{ObjectMeta: named, Data: map[string][]byte{"k": []byte("v")}, StringData: map[string]string{"s": "t"}})
	add(core, "pods", true, &corev1.Pod{ObjectMeta: named, Spec: podSpec})
	add(core, "podtemplates", true, &corev1.PodTemplate{ObjectMeta: named, Template: template})
	add(core, "replicationcontrollers", true, &corev1.ReplicationController{ObjectMeta: named, Spec: corev1.ReplicationControllerSpec{Selector: labels, Template: &template}})
	add(core, "services", true, &corev1.Service{ObjectMeta: named, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
	}})
	add(core, "endpoints", true, &corev1.Endpoints{ObjectMeta: named, Subsets: []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: "10.1.2.3"}}, Ports: []corev1.EndpointPort{{Port: 80}},
	}}})
	add(core, "serviceaccounts", true, &corev1.ServiceAccount{ObjectMeta: named, AutomountServiceAccountToken: ptr.To(false)})
	add(core, "limitranges", true, &corev1.LimitRange{ObjectMeta: named, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePod, Max: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64")}}}}})
	add(core, "resourcequotas", true, &corev1.ResourceQuota{ObjectMeta: named, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1k")}}})
	add(core, "persistentvolumeclaims", true, &corev1.PersistentVolumeClaim{ObjectMeta: named, Spec: claim})
	add(core, "events", true, &corev1.Event{ObjectMeta: named, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: space, Name: "every"}, Reason: "Made", Message: "it was", Type: "Normal", FirstTimestamp: metav1.Unix(1700000000, 0), LastTimestamp: metav1.Unix(1700000001, 0), Count: 2})
	add(core, "nodes", false, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "every", Labels: labels}, Spec: corev1.NodeSpec{PodCIDR: "10.9.0.0/24", PodCIDRs: []string{"10.9.0.0/24"}, Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}}}})
	add(core, "persistentvolumes", false, &corev1.PersistentVolume{ObjectMeta: named, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: claim.AccessModes,
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}},
	}})
}

func workloadResources(add adder) {
	apps, batch := appsv1.SchemeGroupVersion, batchv1.SchemeGroupVersion
	add(apps, "deployments", true, &appsv1.Deployment{ObjectMeta: named, Spec: appsv1.DeploymentSpec{Replicas: ptr.To(int32(2)), Selector: selector, Template: template}})
	add(apps, "replicasets", true, &appsv1.ReplicaSet{ObjectMeta: named, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}})
	add(apps, "statefulsets", true, &appsv1.StatefulSet{ObjectMeta: named, Spec: appsv1.StatefulSetSpec{
		Selector: selector, Template: template, ServiceName: "every",
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claim}},
	}})
	add(apps, "daemonsets", true, &appsv1.DaemonSet{ObjectMeta: named, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}})
	add(apps, "controllerrevisions", true, &appsv1.ControllerRevision{ObjectMeta: named, Revision: 3, Data: runtime.RawExtension{Raw: []byte(`{"spec":{"n":1}}`)}})
	add(batch, "jobs", true, &batchv1.Job{ObjectMeta: named, Spec: batchv1.JobSpec{Completions: ptr.To(int32(3)), Template: once}})
	add(batch, "cronjobs", true, &batchv1.CronJob{ObjectMeta: named, Spec: batchv1.CronJobSpec{Schedule: "*/5 * * * *", TimeZone: ptr.To("Europe/Berlin"), JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}}}})
	target := autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "every"}
	add(autoscalingv2.SchemeGroupVersion, "horizontalpodautoscalers", true, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: named, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: target, MaxReplicas: 4,
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceMemory, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: ptr.To(resource.MustParse("100Mi"))}}}},
	}})
	add(autoscalingv1.SchemeGroupVersion, "horizontalpodautoscalers", true, &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: named, Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(target), MaxReplicas: 4, TargetCPUUtilizationPercentage: ptr.To(int32(60)),
	}})
	add(policyv1.SchemeGroupVersion, "poddisruptionbudgets", true, &policyv1.PodDisruptionBudget{ObjectMeta: named, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector, MinAvailable: ptr.To(intstr.FromString("50%"))}})
}

func otherResources(add adder) {
	add(coordinationv1.SchemeGroupVersion, "leases", true, &coordinationv1.Lease{ObjectMeta: named, Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("me"), LeaseDurationSeconds: ptr.To(int32(15)), RenewTime: ptr.To(metav1.NewMicroTime(metav1.Unix(1700000000, 123456000).Time))}})
	add(eventsv1.SchemeGroupVersion, "events", true, &eventsv1.Event{ObjectMeta: named, EventTime: metav1.NewMicroTime(metav1.Unix(1700000000, 123456000).Time), ReportingController: "example.com/c", ReportingInstance: "c-0", Action: "Make", Reason: "Made", Note: "it was", Type: "Normal", Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: space, Name: "every"}})
	add(discoveryv1.SchemeGroupVersion, "endpointslices", true, &discoveryv1.EndpointSlice{ObjectMeta: named, AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}}, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(80))}}})
	networking := networkingv1.SchemeGroupVersion
	add(networking, "networkpolicies", true, &networkingv1.NetworkPolicy{ObjectMeta: named, Spec: networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{}, Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt32(80))}}}}}})
	add(networking, "ingresses", true, &networkingv1.Ingress{ObjectMeta: named, Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "every", Port: networkingv1.ServiceBackendPort{Number: 80}}}}})
	add(networking, "ingressclasses", false, &networkingv1.IngressClass{ObjectMeta: named, Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}})
	add(networking, "servicecidrs", false, &networkingv1.ServiceCIDR{ObjectMeta: named, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.200.0.0/24"}}})
	rbac := rbacv1.SchemeGroupVersion
	rules := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}}
	subjects := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "someone"}}
	add(rbac, "roles", true, &rbacv1.Role{ObjectMeta: named, Rules: rules})
	add(rbac, "rolebindings", true, &rbacv1.RoleBinding{ObjectMeta: named, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}})
	add(rbac, "clusterroles", false, &rbacv1.ClusterRole{ObjectMeta: named, Rules: rules})
	add(rbac, "clusterrolebindings", false, &rbacv1.ClusterRoleBinding{ObjectMeta: named, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}})
	devices := resourcev1.SchemeGroupVersion
	request := resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "every"}}}}
	add(devices, "deviceclasses", false, &resourcev1.DeviceClass{ObjectMeta: named, Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "example.com"`}}}}})
	add(devices, "resourceclaims", true, &resourcev1.ResourceClaim{ObjectMeta: named, Spec: resourcev1.ResourceClaimSpec{Devices: request}})
	add(devices, "resourceclaimtemplates", true, &resourcev1.ResourceClaimTemplate{ObjectMeta: named, Spec: resourcev1.ResourceClaimTemplateSpec{Spec: resourcev1.ResourceClaimSpec{Devices: request}}})
	add(devices, "resourceslices", false, &resourcev1.ResourceSlice{ObjectMeta: named, Spec: resourcev1.ResourceSliceSpec{Driver: "example.com", Pool: resourcev1.ResourcePool{Name: "p", ResourceSliceCount: 1}, NodeName: ptr.To("every"), Devices: []resourcev1.Device{{Name: "gpu-0", Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"model": {StringValue: ptr.To("x")}}, Capacity: map[resourcev1.QualifiedName]resourcev1.DeviceCapacity{"memory": {Value: resource.MustParse("40Gi")}}}}}})
}

func clusterResources(add adder) {
	storage := storagev1.SchemeGroupVersion
	add(storage, "storageclasses", false, &storagev1.StorageClass{ObjectMeta: named, Provisioner: "example.com/p", Parameters: map[string]string{"a": "b"}})
	add(storage, "csidrivers", false, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "every.example.com"}, Spec: storagev1.CSIDriverSpec{AttachRequired: ptr.To(false)}})
	add(storage, "csinodes", false, &storagev1.CSINode{ObjectMeta: named, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: "every.example.com", NodeID: "n"}}}})
	add(storage, "volumeattachments", false, &storagev1.VolumeAttachment{ObjectMeta: named, Spec: storagev1.VolumeAttachmentSpec{Attacher: "every.example.com", NodeName: "n", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr.To("every")}}})
	add(storage, "csistoragecapacities", true, &storagev1.CSIStorageCapacity{ObjectMeta: named, StorageClassName: "every", Capacity: ptr.To(resource.MustParse("10Gi"))})
	add(schedulingv1.SchemeGroupVersion, "priorityclasses", false, &schedulingv1.PriorityClass{ObjectMeta: named, Value: 1000})
	add(nodev1.SchemeGroupVersion, "runtimeclasses", false, &nodev1.RuntimeClass{ObjectMeta: named, Handler: "gvisor", Overhead: &nodev1.Overhead{PodFixed: small}})
	add(certificatesv1.SchemeGroupVersion, "certificatesigningrequests", false, &certificatesv1.CertificateSigningRequest{ObjectMeta: named, Spec: certificatesv1.CertificateSigningRequestSpec{Request: certificateRequest(), SignerName: "example.com/signer", Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}}})
	hooks := admissionregistrationv1.SchemeGroupVersion
	hook := admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")}
	never := &metav1.LabelSelector{MatchLabels: map[string]string{"never": "there"}}
	none := ptr.To(admissionregistrationv1.SideEffectClassNone)
	rule := []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{"CREATE"}, Rule: admissionregistrationv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: []string{"things"}}}}
	add(hooks, "validatingwebhookconfigurations", false, &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: named, Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: "a.example.com", ClientConfig: hook, Rules: rule, ObjectSelector: never, SideEffects: none, AdmissionReviewVersions: []string{"v1"}}}})
	add(hooks, "mutatingwebhookconfigurations", false, &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: named, Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "a.example.com", ClientConfig: hook, Rules: rule, ObjectSelector: never, SideEffects: none, AdmissionReviewVersions: []string{"v1"}}}})
	flow := flowcontrolv1.SchemeGroupVersion
	add(flow, "flowschemas", false, &flowcontrolv1.FlowSchema{ObjectMeta: named, Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "every"}, MatchingPrecedence: 5000,
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:      []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: "someone"}}},
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}, Namespaces: []string{"*"}}},
		}},
	}})
	add(flow, "prioritylevelconfigurations", false, &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: named, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{NominalConcurrencyShares: ptr.To(int32(5)), LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject}}}})
}
