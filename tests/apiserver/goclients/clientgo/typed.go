package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
)

func typedChecks() []check {
	return []check{
		{"update of status", updateStatus},
		{"json patch", jsonPatch},
		{"apply", apply},
		{"apply conflict", applyConflict},
		{"apply extract", applyExtract},
		{"delete with preconditions", deletePreconditions},
		{"deletecollection by label", deleteCollection},
		{"invalid object", invalid},
		{"generate name and pages", pages},
		{"field validation and warnings", fieldValidation},
		{"certificate approval", approve},
	}
}

func makeNamespace(ctx context.Context, w *world) error {
	_, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	// Whoever creates pods has to have this; its controller is not here.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = w.client.CoreV1().ServiceAccounts(space).Create(ctx, account, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func certificateRequest() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "someone"}}, key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func configMap(name string, labels, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Data: data}
}

func updateStatus(ctx context.Context, w *world) error {
	pods := w.client.CoreV1().Pods(space)
	pod, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "status"}, Spec: podSpec}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSGuaranteed {
		return wanted("status of a new pod", pod.Status, "Pending, Guaranteed")
	}
	pod.Spec.PriorityClassName = "not-this"
	pod.Status.Phase = corev1.PodRunning
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.1.2.3"}}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	pod, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP != "10.1.2.3" || pod.Spec.PriorityClassName != "" {
		return wanted("pod after its status was written", pod, "Running, 10.1.2.3, the spec as it was")
	}
	patch := []byte(`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Test"}]}}`)
	pod, err = pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return err
	}
	if len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Reason != "Test" {
		return wanted("conditions", pod.Status.Conditions, "one with reason Test")
	}
	return pods.Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0))
}

func jsonPatch(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	if _, err := maps.Create(ctx, configMap("json-patch", nil, map[string]string{"a": "1"}), metav1.CreateOptions{}); err != nil {
		return err
	}
	body := []byte(`[{"op":"test","path":"/data/a","value":"1"},{"op":"add","path":"/data/b","value":"2"},{"op":"remove","path":"/data/a"}]`)
	got, err := maps.Patch(ctx, "json-patch", types.JSONPatchType, body, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	if len(got.Data) != 1 || got.Data["b"] != "2" {
		return wanted("data", got.Data, "b=2")
	}
	_, err = maps.Patch(ctx, "json-patch", types.JSONPatchType, body, metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) {
		return wanted("test that does not hold", err, "Invalid")
	}
	return nil
}

func deployment(replicas int32, image string) *appsapply.DeploymentApplyConfiguration {
	return appsapply.Deployment("applied", space).WithLabels(map[string]string{"by": "apply"}).WithSpec(appsapply.DeploymentSpec().
		WithReplicas(replicas).WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).WithSpec(coreapply.PodSpec().
			WithContainers(coreapply.Container().WithName("main").WithImage(image).
				WithPorts(coreapply.ContainerPort().WithContainerPort(80).WithProtocol(corev1.ProtocolTCP))))))
}

func apply(ctx context.Context, w *world) error {
	deployments := w.client.AppsV1().Deployments(space)
	options := metav1.ApplyOptions{FieldManager: "one", Force: true}
	made, err := deployments.Apply(ctx, deployment(2, "a"), options)
	if err != nil {
		return err
	}
	again, err := deployments.Apply(ctx, deployment(2, "a"), options)
	if err != nil {
		return err
	}
	if made.ResourceVersion != again.ResourceVersion {
		return wanted("version after the same apply", again.ResourceVersion, made.ResourceVersion)
	}
	if *made.Spec.Replicas != 2 || made.Spec.Strategy.RollingUpdate == nil || made.Generation != 1 {
		return wanted("applied", made, "2 replicas, defaults, generation 1")
	}
	status := appsapply.Deployment("applied", space).WithStatus(appsapply.DeploymentStatus().WithReplicas(2).WithObservedGeneration(1))
	withStatus, err := deployments.ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: "controller"})
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if withStatus.Status.Replicas != 2 || len(withStatus.ManagedFields) != 2 || withStatus.ManagedFields[0].Subresource != "status" {
		return wanted("status applied", withStatus.ManagedFields, "two managers, by name")
	}
	return nil
}

func applyConflict(ctx context.Context, w *world) error {
	deployments := w.client.AppsV1().Deployments(space)
	_, err := deployments.Apply(ctx, deployment(5, "b"), metav1.ApplyOptions{FieldManager: "two"})
	if !apierrors.IsConflict(err) {
		return wanted("apply of another manager's fields", err, "Conflict")
	}
	status, _ := err.(apierrors.APIStatus)
	causes := status.Status().Details.Causes
	if len(causes) != 2 || causes[0].Type != metav1.CauseTypeFieldManagerConflict {
		return wanted("causes", causes, "two of type FieldManagerConflict")
	}
	got, err := deployments.Apply(ctx, deployment(5, "b"), metav1.ApplyOptions{FieldManager: "two", Force: true})
	if err != nil {
		return err
	}
	if *got.Spec.Replicas != 5 {
		return wanted("replicas", *got.Spec.Replicas, 5)
	}
	// The first manager lets go of everything but what it shares.
	got, err = deployments.Apply(ctx, appsapply.Deployment("applied", space), metav1.ApplyOptions{FieldManager: "one"})
	if err != nil {
		return err
	}
	if got.Labels["by"] != "apply" {
		return wanted("label that two owns", got.Labels, "by=apply")
	}
	return nil
}

func applyExtract(ctx context.Context, w *world) error {
	deployments := w.client.AppsV1().Deployments(space)
	got, err := deployments.Get(ctx, "applied", metav1.GetOptions{})
	if err != nil {
		return err
	}
	extracted, err := appsapply.ExtractDeployment(got, "two")
	if err != nil {
		return err
	}
	if extracted.Spec == nil || *extracted.Spec.Replicas != 5 || *extracted.Spec.Template.Spec.Containers[0].Image != "b" {
		return wanted("extracted", extracted.Spec, "5 replicas of b")
	}
	again, err := deployments.Apply(ctx, extracted, metav1.ApplyOptions{FieldManager: "two"})
	if err != nil {
		return err
	}
	if again.ResourceVersion != got.ResourceVersion {
		return wanted("version after what was extracted was applied", again.ResourceVersion, got.ResourceVersion)
	}
	return deployments.Delete(ctx, "applied", metav1.DeleteOptions{})
}

func deletePreconditions(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	made, err := maps.Create(ctx, configMap("precondition", nil, nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	err = maps.Delete(ctx, made.Name, *metav1.NewPreconditionDeleteOptions("another"))
	if !apierrors.IsConflict(err) {
		return wanted("delete with another uid", err, "Conflict")
	}
	err = maps.Delete(ctx, made.Name, *metav1.NewRVDeletionPrecondition("1"))
	if !apierrors.IsConflict(err) {
		return wanted("delete with another version", err, "Conflict")
	}
	return maps.Delete(ctx, made.Name, *metav1.NewPreconditionDeleteOptions(string(made.UID)))
}

func deleteCollection(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	for index, group := range []string{"a", "b", "a", "b", "a"} {
		if _, err := maps.Create(ctx, configMap(fmt.Sprintf("group-%d", index), map[string]string{"group": group}, nil), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "group=a"}); err != nil {
		return err
	}
	left, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "group in (a,b)"})
	if err != nil {
		return err
	}
	if len(left.Items) != 2 {
		return wanted("left", len(left.Items), 2)
	}
	return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "group"})
}

func invalid(ctx context.Context, w *world) error {
	_, err := w.client.CoreV1().Pods(space).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "No"}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		return wanted("pod without containers", err, "Invalid")
	}
	if !apierrors.HasStatusCause(err, metav1.CauseTypeFieldValueInvalid) || !apierrors.HasStatusCause(err, metav1.CauseTypeFieldValueRequired) {
		return wanted("causes", err, "of an invalid name and of missing containers")
	}
	_, err = w.client.CoreV1().Pods("nowhere").Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "no"}, Spec: podSpec}, metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) {
		return wanted("pod in no namespace", err, "NotFound")
	}
	return nil
}

func pages(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	const count, size = 23, 5
	for range count {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "page-", Labels: map[string]string{"pages": "yes"}}}
		if _, err := maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	options, version := metav1.ListOptions{Limit: size, LabelSelector: "pages"}, ""
	for {
		page, err := maps.List(ctx, options)
		if err != nil {
			return err
		}
		if version == "" {
			version = page.ResourceVersion
		}
		if page.ResourceVersion != version {
			return wanted("version of a later page", page.ResourceVersion, version)
		}
		for _, each := range page.Items {
			seen[each.Name] = true
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
		if len(page.Items) != size {
			return wanted("size of a page", len(page.Items), size)
		}
	}
	if len(seen) != count {
		return wanted("seen", len(seen), count)
	}
	return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "pages"})
}

func fieldValidation(ctx context.Context, w *world) error {
	body := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"unknown"},"date":{"a":"b"}}`)
	send := func(level string) ([]string, error) {
		result := w.client.CoreV1().RESTClient().Post().Namespace(space).Resource("configmaps").
			SetHeader("Content-Type", "application/json").Param("fieldValidation", level).Param("dryRun", "All").Body(body).Do(ctx)
		var texts []string
		for _, each := range result.Warnings() {
			texts = append(texts, each.Text)
		}
		return texts, result.Error()
	}
	warnings, err := send("Warn")
	if err != nil || len(warnings) != 1 || warnings[0] != `unknown field "date"` {
		return wanted("warned", fmt.Sprint(warnings, err), `unknown field "date"`)
	}
	if _, err = send("Strict"); !apierrors.IsBadRequest(err) {
		return wanted("strict", err, "BadRequest")
	}
	return nil
}
