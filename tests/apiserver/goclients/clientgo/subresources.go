package main

import (
	"context"
	"errors"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/utils/ptr"
)

func subresourceChecks() []check {
	return []check{
		{"scale", typedScale},
		{"scale client", scaleClient},
		{"binding", binding},
		{"eviction", eviction},
		{"ephemeral containers and resize", ephemeral},
		{"logs of a pod without a node", logs},
		{"finalizers", finalizers},
		{"namespace finalize", finalizeNamespace},
	}
}

func typedScale(ctx context.Context, w *world) error {
	deployments := w.client.AppsV1().Deployments(space)
	if _, err := deployments.Create(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "scaled"}, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	found, err := deployments.GetScale(ctx, "scaled", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if found.Spec.Replicas != 1 || found.Status.Selector != "app=every" {
		return wanted("scale", found, "1 of app=every")
	}
	found.Spec.Replicas = 3
	if found, err = deployments.UpdateScale(ctx, "scaled", found, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if found.Spec.Replicas != 3 {
		return wanted("replicas", found.Spec.Replicas, 3)
	}
	return nil
}

func scaleClient(ctx context.Context, w *world) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(w.client.Discovery()))
	kinds := scale.NewDiscoveryScaleKindResolver(w.client.Discovery())
	scales, err := scale.NewForConfig(w.config, mapper, dynamic.LegacyAPIPathResolverFunc, kinds)
	if err != nil {
		return err
	}
	group := schema.GroupResource{Group: "apps", Resource: "deployments"}
	found, err := scales.Scales(space).Get(ctx, group, "scaled", metav1.GetOptions{})
	if err != nil {
		return err
	}
	found = &autoscalingv1.Scale{ObjectMeta: found.ObjectMeta, Spec: autoscalingv1.ScaleSpec{Replicas: 7}}
	if _, err = scales.Scales(space).Update(ctx, group, found, metav1.UpdateOptions{}); err != nil {
		return err
	}
	got, err := w.client.AppsV1().Deployments(space).Get(ctx, "scaled", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if *got.Spec.Replicas != 7 || got.Generation != 3 {
		return wanted("replicas and generation", []int64{int64(*got.Spec.Replicas), got.Generation}, "7 and 3")
	}
	return w.client.AppsV1().Deployments(space).Delete(ctx, "scaled", metav1.DeleteOptions{})
}

func makePod(ctx context.Context, w *world, name string, labels map[string]string) error {
	_, err := w.client.CoreV1().Pods(space).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: podSpec}, metav1.CreateOptions{})
	return err
}

func binding(ctx context.Context, w *world) error {
	pods := w.client.CoreV1().Pods(space)
	if err := makePod(ctx, w, "bound", nil); err != nil {
		return err
	}
	to := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "bound", Namespace: space, Annotations: map[string]string{"a": "b"}}, Target: corev1.ObjectReference{Kind: "Node", Name: "somewhere"}}
	if err := pods.Bind(ctx, to, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := pods.Bind(ctx, to, metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		return wanted("second binding", err, "Conflict")
	}
	pod, err := pods.Get(ctx, "bound", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != "somewhere" || pod.Annotations["a"] != "b" || pod.Status.Conditions[0].Type != corev1.PodScheduled {
		return wanted("bound", pod, "on somewhere, annotated, PodScheduled")
	}
	return pods.Delete(ctx, "bound", *metav1.NewDeleteOptions(0))
}

func eviction(ctx context.Context, w *world) error {
	pods, budgets := w.client.CoreV1().Pods(space), w.client.PolicyV1().PodDisruptionBudgets(space)
	labels := map[string]string{"app": "evicted"}
	for _, name := range []string{"evicted-0", "evicted-1"} {
		if err := makePod(ctx, w, name, labels); err != nil {
			return err
		}
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if _, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	budget, err := budgets.Create(ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "evicted"}, Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels}}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	budget.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: budget.Generation, DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1, ExpectedPods: 2}
	if _, err = budgets.UpdateStatus(ctx, budget, metav1.UpdateOptions{}); err != nil {
		return err
	}
	evict := func(name string) error {
		return pods.EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space}, DeleteOptions: metav1.NewDeleteOptions(0)})
	}
	if err = evict("evicted-0"); err != nil {
		return err
	}
	err = evict("evicted-1")
	if !apierrors.IsTooManyRequests(err) || !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) {
		return wanted("second eviction", err, "TooManyRequests")
	}
	if budget, err = budgets.Get(ctx, "evicted", metav1.GetOptions{}); err != nil {
		return err
	}
	if _, there := budget.Status.DisruptedPods["evicted-0"]; !there || budget.Status.DisruptionsAllowed != 0 {
		return wanted("budget", budget.Status, "evicted-0 disrupted")
	}
	return pods.Delete(ctx, "evicted-1", *metav1.NewDeleteOptions(0))
}

func ephemeral(ctx context.Context, w *world) error {
	pods := w.client.CoreV1().Pods(space)
	if err := makePod(ctx, w, "changed", nil); err != nil {
		return err
	}
	pod, err := pods.Get(ctx, "changed", metav1.GetOptions{})
	if err != nil {
		return err
	}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}}
	if pod, err = pods.UpdateEphemeralContainers(ctx, "changed", pod, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if len(pod.Spec.EphemeralContainers) != 1 || pod.Spec.EphemeralContainers[0].TerminationMessagePath == "" {
		return wanted("ephemeral containers", pod.Spec.EphemeralContainers, "one with defaults")
	}
	pod.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("200m")
	pod.Spec.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse("200m")
	if pod, err = pods.UpdateResize(ctx, "changed", pod, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if pod.Spec.Containers[0].Resources.Limits.Cpu().String() != "200m" {
		return wanted("limit", pod.Spec.Containers[0].Resources, "200m")
	}
	return pods.Delete(ctx, "changed", *metav1.NewDeleteOptions(0))
}

func logs(ctx context.Context, w *world) error {
	if err := makePod(ctx, w, "silent", nil); err != nil {
		return err
	}
	_, err := w.client.CoreV1().Pods(space).GetLogs("silent", &corev1.PodLogOptions{}).DoRaw(ctx)
	var status apierrors.APIStatus
	if err != nil && !errors.As(err, &status) {
		return wanted("logs", err, "a Status or nothing")
	}
	return w.client.CoreV1().Pods(space).Delete(ctx, "silent", *metav1.NewDeleteOptions(0))
}

func finalizers(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	object := configMap("held", nil, nil)
	object.Finalizers = []string{"example.com/hold"}
	if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := maps.Delete(ctx, "held", metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)}); err != nil {
		return err
	}
	held, err := maps.Get(ctx, "held", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if held.DeletionTimestamp == nil || len(held.Finalizers) != 2 || *held.DeletionGracePeriodSeconds != 0 {
		return wanted("held", held.ObjectMeta, "being deleted, two finalizers")
	}
	held.Finalizers = nil
	if _, err = maps.Update(ctx, held, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if _, err = maps.Get(ctx, "held", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return wanted("let go", err, "NotFound")
	}
	return nil
}

func finalizeNamespace(ctx context.Context, w *world) error {
	namespaces := w.client.CoreV1().Namespaces()
	made, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "short-"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err = namespaces.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	if made, err = namespaces.Get(ctx, made.Name, metav1.GetOptions{}); err != nil {
		return err
	}
	if made.Status.Phase != corev1.NamespaceTerminating {
		return wanted("phase", made.Status.Phase, corev1.NamespaceTerminating)
	}
	_, err = w.client.CoreV1().ConfigMaps(made.Name).Create(ctx, configMap("late", nil, nil), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return wanted("create in a namespace that goes", err, "Forbidden")
	}
	made.Spec.Finalizers = nil
	if _, err = namespaces.Finalize(ctx, made, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if _, err = namespaces.Get(ctx, made.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return wanted("finalized", err, "NotFound")
	}
	return nil
}
