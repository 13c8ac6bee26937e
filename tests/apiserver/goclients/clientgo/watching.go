package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"
)

func watchChecks() []check {
	return []check{
		{"watch list with bookmarks", watchList},
		{"watch leaves a selector", watchSelector},
		{"watch from a compacted version", watchExpired},
		{"watch ends in time", watchTimeout},
		{"retry watcher and until", retryWatcher},
	}
}

func watchList(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	if _, err := maps.Create(ctx, configMap("streamed", nil, map[string]string{"a": "b"}), metav1.CreateOptions{}); err != nil {
		return err
	}
	seen, err := maps.Watch(ctx, metav1.ListOptions{SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer seen.Stop()
	found := false
	for e := range seen.ResultChan() {
		object, ok := e.Object.(*corev1.ConfigMap)
		if !ok {
			return wanted("event", e, "of a config map")
		}
		if e.Type == watch.Bookmark {
			if object.Annotations[metav1.InitialEventsAnnotationKey] != "true" || object.ResourceVersion == "" {
				return wanted("bookmark", object, "end of the initial events")
			}
			if !found {
				return fmt.Errorf("the bookmark came before the object")
			}
			return maps.Delete(ctx, "streamed", metav1.DeleteOptions{})
		}
		found = found || object.Name == "streamed" && e.Type == watch.Added && object.Data["a"] == "b"
	}
	return fmt.Errorf("the stream ended")
}

func watchSelector(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	seen, err := maps.Watch(ctx, metav1.ListOptions{LabelSelector: "in=yes"})
	if err != nil {
		return err
	}
	defer seen.Stop()
	object, err := maps.Create(ctx, configMap("walker", map[string]string{"in": "no"}, nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	for _, step := range []struct {
		label string
		kind  watch.EventType
	}{{"yes", watch.Added}, {"no", watch.Deleted}, {"yes", watch.Added}} {
		object.Labels["in"] = step.label
		if object, err = maps.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
			return err
		}
		e := <-seen.ResultChan()
		if e.Type != step.kind || e.Object.(*corev1.ConfigMap).ResourceVersion != object.ResourceVersion {
			return wanted("event", e, step.kind)
		}
	}
	return maps.Delete(ctx, "walker", metav1.DeleteOptions{})
}

func watchExpired(ctx context.Context, w *world) error {
	seen, err := w.client.CoreV1().ConfigMaps(space).Watch(ctx, metav1.ListOptions{ResourceVersion: "1"})
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer seen.Stop()
	e := <-seen.ResultChan() // nothing was compacted: the history begins here; else a Status in the stream
	if e.Type == watch.Error && !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
		return wanted("error", e.Object, "Expired")
	}
	return nil
}

func watchTimeout(ctx context.Context, w *world) error {
	seen, err := w.client.CoreV1().ConfigMaps(space).Watch(ctx, metav1.ListOptions{TimeoutSeconds: ptr.To(int64(1)), LabelSelector: "no=one"})
	if err != nil {
		return err
	}
	defer seen.Stop()
	select {
	case e, open := <-seen.ResultChan():
		if open {
			return wanted("event", e, "the end")
		}
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("open after 5 s")
	}
}

func retryWatcher(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	list, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	source := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		options.TimeoutSeconds = ptr.To(int64(1)) // so that it has to watch again
		return maps.Watch(ctx, options)
	}}
	go func() {
		time.Sleep(2500 * time.Millisecond)
		_, _ = maps.Create(ctx, configMap("awaited", nil, nil), metav1.CreateOptions{})
	}()
	_, err = watchtools.Until(ctx, list.ResourceVersion, source, func(e watch.Event) (bool, error) {
		object, ok := e.Object.(*corev1.ConfigMap)
		return ok && object.Name == "awaited", nil
	})
	if err != nil {
		return err
	}
	return maps.Delete(ctx, "awaited", metav1.DeleteOptions{})
}

func informerChecks() []check {
	return []check{
		{"shared informers", sharedInformers},
		{"reflector after 410", reflectorExpired},
		{"leader election", leaderElection},
		{"event recorder", eventRecorder},
	}
}

func sharedInformers(ctx context.Context, w *world) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(w.client, time.Second, informers.WithNamespace(space))
	core, cluster := factory.Core().V1(), informers.NewSharedInformerFactory(w.client, 0)
	var added, updated, deleted, resynced atomic.Int32
	_, err := core.ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { added.Add(1) },
		UpdateFunc: func(before, after any) {
			if before.(*corev1.ConfigMap).ResourceVersion == after.(*corev1.ConfigMap).ResourceVersion {
				resynced.Add(1)
			} else {
				updated.Add(1)
			}
		},
		DeleteFunc: func(any) { deleted.Add(1) },
	})
	if err != nil {
		return err
	}
	_ = []cache.SharedIndexInformer{ // each asked for is one that runs
		core.Pods().Informer(), core.Services().Informer(), core.Secrets().Informer(), core.Endpoints().Informer(),
		core.ServiceAccounts().Informer(), factory.Apps().V1().Deployments().Informer(), factory.Apps().V1().ReplicaSets().Informer(),
		factory.Batch().V1().Jobs().Informer(), factory.Discovery().V1().EndpointSlices().Informer(), factory.Coordination().V1().Leases().Informer(),
		cluster.Core().V1().Nodes().Informer(), cluster.Core().V1().Namespaces().Informer(), cluster.Core().V1().PersistentVolumes().Informer(),
		cluster.Storage().V1().StorageClasses().Informer(), cluster.Rbac().V1().ClusterRoles().Informer(), cluster.Resource().V1().ResourceSlices().Informer(),
		cluster.Flowcontrol().V1().FlowSchemas().Informer(), cluster.Scheduling().V1().PriorityClasses().Informer(),
	}
	factory.Start(ctx.Done())
	cluster.Start(ctx.Done())
	began := time.Now()
	if err := synced(ctx, factory, cluster); err != nil {
		return err
	}
	if took := time.Since(began); took > 8*time.Second {
		return wanted("in sync after", took, "under 8 s: the stream of the initial events has no end") // its fall-back is after 10 s
	}
	if _, err := cluster.Rbac().V1().ClusterRoles().Lister().Get("view"); err != nil {
		return err
	}
	maps := w.client.CoreV1().ConfigMaps(space)
	before := added.Load()
	object, err := maps.Create(ctx, configMap("informed", nil, nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	object.Data = map[string]string{"a": "b"}
	if _, err = maps.Update(ctx, object, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err = eventually(ctx, "resync", func() (bool, error) { return resynced.Load() > 0 && updated.Load() > 0, nil }); err != nil {
		return err
	}
	if err = maps.Delete(ctx, "informed", metav1.DeleteOptions{}); err != nil {
		return err
	}
	return eventually(ctx, "events", func() (bool, error) { return added.Load() > before && deleted.Load() == 1, nil })
}

func synced(ctx context.Context, factories ...informers.SharedInformerFactory) error {
	for _, factory := range factories {
		for kind, done := range factory.WaitForCacheSync(ctx.Done()) {
			if !done {
				return fmt.Errorf("%v is not in sync", kind)
			}
		}
	}
	return nil
}

// reflectorExpired cuts the stream with 410 and finds the reflector lists anew.
func reflectorExpired(ctx context.Context, w *world) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	maps := w.client.CoreV1().ConfigMaps(space)
	var watches, lists atomic.Int32
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			lists.Add(1)
			return maps.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			if options.SendInitialEvents == nil && watches.Add(1) == 1 {
				options.ResourceVersion = "1" // as after a long break
			}
			return maps.Watch(ctx, options)
		},
	}
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	reflector := cache.NewReflectorWithOptions(source, &corev1.ConfigMap{}, store, cache.ReflectorOptions{})
	go reflector.RunWithContext(ctx)
	if _, err := maps.Create(ctx, configMap("reflected", nil, nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := eventually(ctx, "reflected", func() (bool, error) {
		_, there, err := store.GetByKey(space + "/reflected")
		return there, err
	}); err != nil {
		return err
	}
	if err := maps.Delete(ctx, "reflected", metav1.DeleteOptions{}); err != nil {
		return err
	}
	return eventually(ctx, "deleted", func() (bool, error) {
		_, there, err := store.GetByKey(space + "/reflected")
		return !there, err
	})
}

func leaderElection(ctx context.Context, w *world) error {
	elect := func(ctx context.Context, name string, leads chan<- string) {
		lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, space, "election", resourcelock.ResourceLockConfig{Identity: name}, rest.CopyConfig(w.config), 2*time.Second)
		if err != nil {
			panic(err)
		}
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- name }, OnStoppedLeading: func() {}},
		})
	}
	leads := make(chan string, 2)
	first, stop := context.WithCancel(ctx)
	defer stop()
	go elect(first, "first", leads)
	if leader := <-leads; leader != "first" {
		return wanted("leader", leader, "first")
	}
	second, end := context.WithCancel(ctx)
	defer end()
	go elect(second, "second", leads)
	select {
	case leader := <-leads:
		return wanted("leader while the first one renews", leader, "none")
	case <-time.After(time.Second):
	}
	stop()
	select {
	case <-leads:
	case <-ctx.Done():
		return fmt.Errorf("no second leader")
	}
	lease, err := w.client.CoordinationV1().Leases(space).Get(ctx, "election", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if *lease.Spec.HolderIdentity != "second" || lease.Spec.RenewTime.Nanosecond()%1000 != 0 {
		return wanted("lease", lease.Spec, "held by second")
	}
	return nil
}

func eventRecorder(ctx context.Context, w *world) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	events := w.client.CoreV1().Events(space)
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: events})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "clientgo"})
	object, err := w.client.CoreV1().ConfigMaps(space).Create(ctx, configMap("eventful", nil, nil), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	for range 3 {
		recorder.Event(object, corev1.EventTypeWarning, "Tried", "it went wrong")
	}
	return eventually(ctx, "event with a count of three", func() (bool, error) {
		list, err := events.List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=eventful,involvedObject.kind=ConfigMap,type=Warning,reason=Tried"})
		if err != nil || len(list.Items) == 0 {
			return false, err
		}
		return list.Items[0].Count == 3 && list.Items[0].Source.Component == "clientgo", nil
	})
}
