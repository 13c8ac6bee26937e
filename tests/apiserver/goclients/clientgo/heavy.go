package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

const (
	manyObjects  = 2500 // of 2 KiB: more than a client's window of HTTP/2
	manyWatches  = 260  // more than a connection of HTTP/2 may carry
	manyCreates  = 100
	manyStops    = 600
	objectBytes  = 2 << 10
	pauseSeconds = 3
)

func heavyChecks() []check {
	return []check{
		{"many watches and creates at once", manyStreams},
		{"large list", largeList},
		{"slow watcher", slowWatcher},
		{"large objects", largeObjects},
		{"requests given up", givenUp},
		{"watches given up", watchesGivenUp},
		{"HTTP/1.1", firstHTTP},
		{"bad selectors", badSelectors},
	}
}

// parallel calls with every number below count, so many at a time, and joins what went wrong.
func parallel(count, width int, call func(int) error) error {
	failures := make([]error, count)
	var group sync.WaitGroup
	slots := make(chan struct{}, width)
	for index := range count {
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; group.Done() }()
			failures[index] = call(index)
		}()
	}
	group.Wait()
	return errors.Join(failures...)
}

func manyStreams(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	watches := make([]watch.Interface, manyWatches)
	err := parallel(manyWatches, 50, func(index int) (err error) {
		watches[index], err = maps.Watch(ctx, metav1.ListOptions{LabelSelector: "many=watches"})
		return err
	})
	if err != nil {
		return err
	}
	err = parallel(manyCreates, 50, func(index int) error {
		_, err := maps.Create(ctx, configMap(fmt.Sprintf("many-%d", index), map[string]string{"many": "watches"}, nil), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	err = parallel(manyWatches, manyWatches, func(index int) error {
		defer watches[index].Stop()
		last := ""
		for seen := range manyCreates {
			select {
			case e := <-watches[index].ResultChan():
				object, ok := e.Object.(*corev1.ConfigMap)
				if !ok || len(object.ResourceVersion) < len(last) || len(object.ResourceVersion) == len(last) && object.ResourceVersion <= last {
					return wanted("event", e, "one after "+last)
				}
				last = object.ResourceVersion
			case <-ctx.Done():
				return fmt.Errorf("%d events of %d", seen, manyCreates)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "many"})
}

func largeList(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	err := parallel(manyObjects, 20, func(index int) error {
		// Hardly compressible, so that what goes through is as large as it says.
		text := ""
		for salt := 0; len(text) < objectBytes; salt++ {
			text += fmt.Sprintf("%x", uint64(index*objectBytes+salt+1)*0x9e3779b97f4a7c15)
		}
		_, err := maps.Create(ctx, configMap(fmt.Sprintf("large-%d", index), map[string]string{"large": "list"}, map[string]string{"t": text}), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	for _, version := range []string{"", "0"} {
		list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "large", ResourceVersion: version})
		if err != nil {
			return err
		}
		if len(list.Items) != manyObjects {
			return wanted("listed from version "+version, len(list.Items), manyObjects)
		}
	}
	return nil
}

// slowWatcher reads nothing for a while: everything is there afterwards, or it is told that it came too late.
func slowWatcher(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	seen, err := maps.Watch(ctx, metav1.ListOptions{LabelSelector: "large", SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer seen.Stop()
	time.Sleep(pauseSeconds * time.Second)
	if _, err = maps.List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return fmt.Errorf("another request meanwhile: %w", err)
	}
	count := 0
	for e := range seen.ResultChan() {
		if e.Type == watch.Bookmark {
			break
		}
		if e.Type != watch.Added {
			return wanted("event", e, watch.Added)
		}
		count++
	}
	if count != manyObjects {
		return wanted("events", count, manyObjects)
	}
	if err = maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "large"}); err != nil {
		return err
	}
	for count > 0 {
		e, open := <-seen.ResultChan()
		if !open || e.Type != watch.Deleted {
			return wanted("event", e, watch.Deleted)
		}
		count--
	}
	return nil
}

func largeObjects(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	sized := func(size int) error {
		_, err := maps.Create(ctx, configMap("large", nil, map[string]string{"a": strings.Repeat("a", size)}), metav1.CreateOptions{})
		return err
	}
	if err := sized(1000 << 10); err != nil {
		return err
	}
	if err := maps.Delete(ctx, "large", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := sized(2 << 20); !apierrors.IsInvalid(err) {
		return wanted("2 MiB", err, "Invalid")
	}
	if err := sized(4 << 20); !apierrors.IsRequestEntityTooLargeError(err) {
		return wanted("4 MiB", err, "RequestEntityTooLarge")
	}
	return nil
}

func givenUp(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	_ = parallel(200, 50, func(index int) error {
		short, cancel := context.WithTimeout(ctx, time.Duration(index%20)*time.Millisecond)
		defer cancel()
		_, err := maps.List(short, metav1.ListOptions{})
		return err
	})
	_, err := maps.List(ctx, metav1.ListOptions{})
	return err
}

// watchesGivenUp opens and ends more watches than a connection may cancel; one beside them goes on.
func watchesGivenUp(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	lasting, err := maps.Watch(ctx, metav1.ListOptions{LabelSelector: "lasting=yes"})
	if err != nil {
		return err
	}
	defer lasting.Stop()
	for range manyStops {
		seen, err := maps.Watch(ctx, metav1.ListOptions{LabelSelector: "no=one"})
		if err != nil {
			return err
		}
		seen.Stop()
	}
	if _, err = maps.Create(ctx, configMap("lasting", map[string]string{"lasting": "yes"}, nil), metav1.CreateOptions{}); err != nil {
		return err
	}
	if e, open := <-lasting.ResultChan(); !open || e.Type != watch.Added {
		return wanted("event", e, watch.Added)
	}
	return maps.Delete(ctx, "lasting", metav1.DeleteOptions{})
}

func firstHTTP(ctx context.Context, w *world) error {
	config := rest.CopyConfig(w.config)
	config.NextProtos = []string{"http/1.1"}
	first := &world{config: config, plain: w.plain, client: clientset(config)}
	if err := watchSelector(ctx, first); err != nil {
		return err
	}
	return deleteCollection(ctx, first)
}

func badSelectors(ctx context.Context, w *world) error {
	maps := w.client.CoreV1().ConfigMaps(space)
	for _, options := range []metav1.ListOptions{{FieldSelector: "spec.nothing=a"}, {LabelSelector: "a=b=c"}, {Continue: "x"}, {ResourceVersion: "a"}, {ResourceVersionMatch: "Exact"}} {
		_, err := maps.List(ctx, options)
		if !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) {
			return wanted(fmt.Sprint(options), err, "BadRequest or Invalid")
		}
		if options.Continue != "" || options.ResourceVersionMatch != "" {
			continue
		}
		if seen, err := maps.Watch(ctx, options); err == nil {
			seen.Stop()
			return wanted("watch with "+fmt.Sprint(options), err, "an error")
		}
	}
	return nil
}
