// Command reconciler is a controller as controller-runtime makes them, tried against the API server of $KUBECONFIG.
//
// A ConfigMap labelled with a number of replicas gets a Deployment that it owns; the Deployment's status comes back as an
// annotation; a finalizer deletes the Deployment before the ConfigMap goes. Prints one line a check, ends with 1 if one
// failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2/textlogger"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	space       = "reconciled"
	label       = "replicas"
	finalizer   = "example.com/deployment"
	ready       = "example.com/ready"
	tryMinutes  = 2
	pauseMillis = 20
)

type reconciler struct {
	client.Client
	recorder events.EventRecorder
}

// Reconcile makes the world as the ConfigMap says.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var source corev1.ConfigMap
	if err := r.Get(ctx, request.NamespacedName, &source); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	replicas, err := strconv.Atoi(source.Labels[label])
	if err != nil {
		return ctrl.Result{}, nil
	}
	if !source.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.release(ctx, &source)
	}
	if controllerutil.AddFinalizer(&source, finalizer) {
		return ctrl.Result{}, r.Update(ctx, &source)
	}
	target := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: source.Name, Namespace: source.Namespace}}
	made, err := controllerutil.CreateOrUpdate(ctx, r.Client, target, func() error {
		match := map[string]string{"app": source.Name}
		target.Spec.Replicas = ptr.To(int32(replicas))
		target.Spec.Selector = &metav1.LabelSelector{MatchLabels: match}
		target.Spec.Template.Labels = match
		if len(target.Spec.Template.Spec.Containers) == 0 {
			target.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "pause"}}
		}
		return controllerutil.SetControllerReference(&source, target, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	if made != controllerutil.OperationResultNone {
		r.recorder.Eventf(&source, target, corev1.EventTypeNormal, "Deployed", "Deploy", "the deployment was %s", made)
	}
	base := source.DeepCopy()
	if source.Annotations == nil {
		source.Annotations = map[string]string{}
	}
	source.Annotations[ready] = strconv.Itoa(int(target.Status.ReadyReplicas))
	return ctrl.Result{}, r.Patch(ctx, &source, client.MergeFrom(base))
}

func (r *reconciler) release(ctx context.Context, source *corev1.ConfigMap) error {
	target := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: source.Name, Namespace: source.Namespace}}
	if err := client.IgnoreNotFound(r.Delete(ctx, target)); err != nil {
		return err
	}
	base := source.DeepCopy()
	if !controllerutil.RemoveFinalizer(source, finalizer) {
		return nil
	}
	return r.Patch(ctx, source, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
}

func main() {
	ctrl.SetLogger(textlogger.NewLogger(textlogger.NewConfig()))
	ctx, cancel := context.WithTimeout(context.Background(), tryMinutes*time.Minute)
	defer cancel()
	if err := run(ctx, cancel); err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
}

// run starts the program's controller, goes through the checks and stops it.
func run(ctx context.Context, cancel context.CancelFunc) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Metrics:          server.Options{BindAddress: "0"},
		LeaderElection:   true,
		LeaderElectionID: "reconciler", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	own := &reconciler{Client: mgr.GetClient(), recorder: mgr.GetEventRecorder("reconciler")}
	if err := ctrl.NewControllerManagedBy(mgr).For(&corev1.ConfigMap{}).Owns(&appsv1.Deployment{}).Complete(own); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return errors.Join(errors.New("the cache is not in sync"), <-ended)
	}
	fmt.Println("ok   cache sync")
	direct, err := client.New(config, client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return err
	}
	if err := checks(ctx, direct); err != nil {
		return err
	}
	cancel()
	if err := <-ended; err != nil {
		return fmt.Errorf("end of the manager: %w", err)
	}
	fmt.Println("ok   end")
	return nil
}

func checks(ctx context.Context, c client.Client) error {
	if err := client.IgnoreAlreadyExists(c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}})); err != nil {
		return err
	}
	source := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: space, Labels: map[string]string{label: "2"}}}
	if err := c.Create(ctx, source); err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: space, Name: "web"}
	var target appsv1.Deployment
	if err := until(ctx, "the deployment", func() (bool, error) {
		err := c.Get(ctx, key, &target)
		return err == nil, client.IgnoreNotFound(err)
	}); err != nil {
		return err
	}
	if *target.Spec.Replicas != 2 || !metav1.IsControlledBy(&target, source) {
		return fmt.Errorf("deployment: %v", target)
	}
	base := target.DeepCopy()
	target.Status.Replicas, target.Status.ReadyReplicas, target.Status.AvailableReplicas = 2, 2, 2
	if err := c.Status().Patch(ctx, &target, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if err := until(ctx, "the annotation after a status patch", func() (bool, error) {
		err := c.Get(ctx, key, source)
		return source.Annotations[ready] == "2", err
	}); err != nil {
		return err
	}
	if !controllerutil.ContainsFinalizer(source, finalizer) {
		return fmt.Errorf("finalizers: %v", source.Finalizers)
	}
	scaled := source.DeepCopy()
	scaled.Labels[label] = "3"
	if err := c.Patch(ctx, scaled, client.StrategicMergeFrom(source)); err != nil {
		return err
	}
	if err := until(ctx, "the change of scale", func() (bool, error) {
		err := c.Get(ctx, key, &target)
		return *target.Spec.Replicas == 3, err
	}); err != nil {
		return err
	}
	if err := c.Delete(ctx, source); err != nil {
		return err
	}
	if err := until(ctx, "the end of both", func() (bool, error) {
		one, other := c.Get(ctx, key, source), c.Get(ctx, key, &target)
		return apierrors.IsNotFound(one) && apierrors.IsNotFound(other), errors.Join(client.IgnoreNotFound(one), client.IgnoreNotFound(other))
	}); err != nil {
		return err
	}
	return until(ctx, "events", func() (bool, error) {
		var list corev1.EventList
		err := c.List(ctx, &list, client.InNamespace(space), client.MatchingFields{"involvedObject.name": "web", "reason": "Deployed"})
		return len(list.Items) >= 2, err
	})
}

// until asks until it is so, and prints that it was.
func until(ctx context.Context, what string, ask func() (bool, error)) error {
	for ctx.Err() == nil {
		done, err := ask()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if done {
			fmt.Println("ok  ", what)
			return nil
		}
		time.Sleep(pauseMillis * time.Millisecond)
	}
	return fmt.Errorf("%s: not within the time", what)
}
