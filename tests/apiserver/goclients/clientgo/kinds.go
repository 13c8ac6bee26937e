package main

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// kindOf is a kind with the object that is made of it.
type kindOf struct {
	gvr        schema.GroupVersionResource
	namespaced bool
	object     runtime.Object
}

var release = []byte(`{"metadata":{"finalizers":null}}`)

// kindChecks goes through every verb with every kind, by the same REST client as the typed clients.
func kindChecks() []check {
	var found []check
	for _, r := range resources() {
		found = append(found, check{"kind " + r.gvr.String(), r.every})
	}
	return found
}

func restClient(config *rest.Config, gv schema.GroupVersion) (*rest.RESTClient, error) {
	own := rest.CopyConfig(config)
	own.GroupVersion, own.APIPath = &gv, "/apis"
	if gv.Group == "" {
		own.APIPath = "/api"
	}
	own.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return rest.RESTClientFor(own)
}

func (r kindOf) every(ctx context.Context, w *world) error {
	client, err := restClient(w.config, r.gvr.GroupVersion())
	if err != nil {
		return err
	}
	plain, err := restClient(w.plain, r.gvr.GroupVersion())
	if err != nil {
		return err
	}
	name := r.object.(metav1.Object).GetName()
	where := func(request *rest.Request) *rest.Request {
		return request.NamespaceIfScoped(space, r.namespaced).Resource(r.gvr.Resource)
	}
	blank := func() runtime.Object {
		made, err := scheme.Scheme.New(r.kind())
		if err != nil {
			panic(err)
		}
		return made
	}
	selected := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	list, err := scheme.Scheme.New(r.gvr.GroupVersion().WithKind(r.kind().Kind + "List"))
	if err != nil {
		return err
	}
	listed := func() ([]runtime.Object, error) {
		list, _ := scheme.Scheme.New(r.gvr.GroupVersion().WithKind(r.kind().Kind + "List"))
		if err := where(client.Get()).VersionedParams(&selected, scheme.ParameterCodec).Do(ctx).Into(list); err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		return meta.ExtractList(list)
	}
	if err := where(client.Get()).VersionedParams(&selected, scheme.ParameterCodec).Do(ctx).Into(list); err != nil {
		return fmt.Errorf("first list: %w", err)
	}
	seen, err := where(client.Get()).VersionedParams(&metav1.ListOptions{
		Watch: true, FieldSelector: selected.FieldSelector, ResourceVersion: list.(metav1.ListInterface).GetResourceVersion(),
	}, scheme.ParameterCodec).Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer seen.Stop()

	dry := blank()
	if err := where(client.Post()).Param("dryRun", "All").Body(r.object.DeepCopyObject()).Do(ctx).Into(dry); err != nil {
		return fmt.Errorf("dry run: %w", err)
	}
	created := blank()
	if err := where(client.Post()).Body(r.object.DeepCopyObject()).Do(ctx).Into(created); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := where(client.Post()).Body(r.object.DeepCopyObject()).Do(ctx).Error(); !apierrors.IsAlreadyExists(err) {
		return wanted("second create", err, "AlreadyExists")
	}
	if err := event(ctx, seen, watch.Added, created); err != nil {
		return err
	}
	got, inJSON := blank(), blank()
	if err := where(client.Get()).Name(name).Do(ctx).Into(got); err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if err := where(plain.Get()).Name(name).Do(ctx).Into(inJSON); err != nil {
		return fmt.Errorf("get in JSON: %w", err)
	}
	if err := same("get after create", got, created); err != nil {
		return err
	}
	if err := same("JSON and protobuf", inJSON, got); err != nil {
		return err
	}
	items, err := listed()
	if err != nil || len(items) != 1 {
		return wanted("listed", fmt.Sprint(len(items), err), 1)
	}
	if err := same("list and get", items[0], got); err != nil {
		return err
	}

	// An update that changes a label, one with the version from before it, and a patch.
	stale := got.DeepCopyObject()
	got.(metav1.Object).SetLabels(map[string]string{"updated": "yes"})
	updated := blank()
	if err := where(client.Put()).Name(name).Body(got).Do(ctx).Into(updated); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if err := event(ctx, seen, watch.Modified, updated); err != nil {
		return err
	}
	stale.(metav1.Object).SetLabels(map[string]string{"stale": "yes"})
	if err := where(client.Put()).Name(name).Body(stale).Do(ctx).Error(); !apierrors.IsConflict(err) {
		return wanted("stale update", err, "Conflict")
	}
	patched := blank()
	for _, form := range []types.PatchType{types.MergePatchType, types.StrategicMergePatchType} {
		body := []byte(fmt.Sprintf(`{"metadata":{"annotations":{"by":%q}}}`, form))
		if err := where(client.Patch(form)).Name(name).Body(body).Do(ctx).Into(patched); err != nil {
			return fmt.Errorf("patch %s: %w", form, err)
		}
		if found := patched.(metav1.Object).GetAnnotations()["by"]; found != string(form) {
			return wanted("annotation", found, form)
		}
		if err := event(ctx, seen, watch.Modified, patched); err != nil {
			return err
		}
	}

	// At once; what protects claims and volumes in use is taken off as its controller would.
	now := &metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0)), PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	if err := where(client.Delete()).Name(name).Body(now).Do(ctx).Error(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if len(patched.(metav1.Object).GetFinalizers()) > 0 {
		if err := where(client.Patch(types.MergePatchType)).Name(name).Body(release).Do(ctx).Error(); err != nil {
			return fmt.Errorf("finalizers: %w", err)
		}
	}
	if err := ended(ctx, seen); err != nil {
		return err
	}
	if err := where(client.Get()).Name(name).Do(ctx).Error(); !apierrors.IsNotFound(err) {
		return wanted("get after delete", err, "NotFound")
	}
	if err := where(client.Post()).Body(r.object.DeepCopyObject()).Do(ctx).Error(); err != nil {
		return fmt.Errorf("create again: %w", err)
	}
	if err := where(client.Delete()).VersionedParams(&selected, scheme.ParameterCodec).
		Body(now).Do(ctx).Error(); err != nil {
		return fmt.Errorf("deletecollection: %w", err)
	}
	if len(patched.(metav1.Object).GetFinalizers()) > 0 {
		if err := where(client.Patch(types.MergePatchType)).Name(name).Body(release).Do(ctx).Error(); err != nil {
			return fmt.Errorf("finalizers: %w", err)
		}
	}
	if items, err = listed(); err != nil || len(items) > 0 {
		return wanted("listed after deletecollection", fmt.Sprint(len(items), err), 0)
	}
	return nil
}

func (r kindOf) kind() schema.GroupVersionKind {
	kinds, _, err := scheme.Scheme.ObjectKinds(r.object)
	if err != nil {
		panic(err)
	}
	return kinds[0]
}

func event(ctx context.Context, seen watch.Interface, kind watch.EventType, object runtime.Object) error {
	select {
	case e, open := <-seen.ResultChan():
		if !open || e.Type != kind {
			return wanted("event", fmt.Sprintf("%v %v", e.Type, e.Object), kind)
		}
		return same("event "+string(kind), e.Object, object)
	case <-ctx.Done():
		return fmt.Errorf("no event %s", kind)
	}
}

// ended waits for the deletion; an object with a grace period is first seen to be deleted.
func ended(ctx context.Context, seen watch.Interface) error {
	for {
		select {
		case e := <-seen.ResultChan():
			if e.Type == watch.Deleted {
				return nil
			}
			if object, ok := e.Object.(metav1.Object); e.Type != watch.Modified || !ok || object.GetDeletionTimestamp() == nil {
				return wanted("event after delete", e, watch.Deleted)
			}
		case <-ctx.Done():
			return errors.New("no event of the deletion")
		}
	}
}

func same(what string, one, other runtime.Object) error {
	one, other = withoutTypes(one), withoutTypes(other)
	if equality.Semantic.DeepEqual(one, other) {
		return nil
	}
	return fmt.Errorf("%s differ:\n%s", what, diff.Diff(one, other))
}

// withoutTypes is the object without kinds and versions, which protobuf does not carry inside a message.
func withoutTypes(object runtime.Object) runtime.Object {
	object = object.DeepCopyObject()
	object.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	if set, ok := object.(*appsv1.StatefulSet); ok {
		for index := range set.Spec.VolumeClaimTemplates {
			set.Spec.VolumeClaimTemplates[index].TypeMeta = metav1.TypeMeta{}
		}
	}
	return object
}
