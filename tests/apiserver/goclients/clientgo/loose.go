package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/openapi3"
	"k8s.io/client-go/restmapper"
)

var configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")

func looseChecks() []check {
	return []check{
		{"dynamic client", dynamicClient},
		{"dynamic and metadata informers", looseInformers},
		{"metadata client", metadataClient},
		{"discovery", discover},
		{"rest mapper", restMapper},
		{"openapi", openAPI},
	}
}

func dynamicClient(ctx context.Context, w *world) error {
	client, err := dynamic.NewForConfig(w.config)
	if err != nil {
		return err
	}
	maps := client.Resource(configMaps).Namespace(space)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "loose"}, "data": map[string]any{"a": "b"},
	}}
	if _, err = maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	object.Object["data"] = map[string]any{"a": "c"}
	applied, err := maps.Apply(ctx, "loose", object, metav1.ApplyOptions{FieldManager: "loose", Force: true})
	if err != nil {
		return err
	}
	if found, _, _ := unstructured.NestedString(applied.Object, "data", "a"); found != "c" {
		return wanted("applied", applied.Object, "a=c")
	}
	list, err := maps.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=loose"})
	if err != nil {
		return err
	}
	if len(list.Items) != 1 || list.Items[0].GetKind() != "ConfigMap" {
		return wanted("list", list, "one ConfigMap")
	}
	return maps.Delete(ctx, "loose", metav1.DeleteOptions{})
}

func looseInformers(ctx context.Context, w *world) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, partial := dynamic.NewForConfigOrDie(w.config), metadata.NewForConfigOrDie(w.config)
	whole := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, space, nil)
	heads := metadatainformer.NewFilteredSharedInformerFactory(partial, 0, space, nil)
	whole.ForResource(configMaps)
	heads.ForResource(configMaps)
	began := time.Now()
	whole.Start(ctx.Done())
	heads.Start(ctx.Done())
	for gvr, done := range whole.WaitForCacheSync(ctx.Done()) {
		if !done {
			return fmt.Errorf("dynamic %v is not in sync", gvr)
		}
	}
	for gvr, done := range heads.WaitForCacheSync(ctx.Done()) {
		if !done {
			return fmt.Errorf("metadata %v is not in sync", gvr)
		}
	}
	if took := time.Since(began); took > 8*time.Second {
		return wanted("in sync after", took, "under 8 s")
	}
	object := configMap("seen", map[string]string{"a": "b"}, map[string]string{"c": "d"})
	if _, err := w.client.CoreV1().ConfigMaps(space).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, "seen by both", func() (bool, error) {
		one, err := whole.ForResource(configMaps).Lister().ByNamespace(space).Get("seen")
		if err != nil {
			return false, nil
		}
		other, err := heads.ForResource(configMaps).Lister().ByNamespace(space).Get("seen")
		if err != nil {
			return false, nil
		}
		head, ok := other.(*metav1.PartialObjectMetadata)
		if !ok || head.Labels["a"] != "b" || one.(*unstructured.Unstructured).GetLabels()["a"] != "b" {
			return false, wanted("metadata", other, "label a=b")
		}
		return true, nil
	})
}

func metadataClient(ctx context.Context, w *world) error {
	client := metadata.NewForConfigOrDie(w.config)
	maps := client.Resource(configMaps).Namespace(space)
	got, err := maps.Get(ctx, "seen", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if got.Labels["a"] != "b" || got.UID == "" {
		return wanted("got", got, "metadata with a=b")
	}
	got, err = maps.Patch(ctx, "seen", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"c"}}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "a=c"})
	if err != nil {
		return err
	}
	if got.Labels["a"] != "c" || len(list.Items) != 1 || list.ResourceVersion == "" {
		return wanted("list", list, "one")
	}
	return maps.Delete(ctx, "seen", metav1.DeleteOptions{})
}

func discover(_ context.Context, w *world) error {
	client := w.client.Discovery()
	version, err := client.ServerVersion()
	if err != nil || version.Minor != "36" {
		return wanted("version", fmt.Sprint(version, err), "1.36")
	}
	groups, resources, failed, err := client.(discovery.AggregatedDiscoveryInterface).GroupsAndMaybeResources()
	if err != nil || len(failed) > 0 {
		return wanted("aggregated", fmt.Sprint(failed, err), "no failures")
	}
	if resources == nil || len(groups.Groups) < 20 {
		return wanted("groups", len(groups.Groups), "at least 20, with resources in the same answer")
	}
	legacy := discovery.NewDiscoveryClientForConfigOrDie(w.config)
	legacy.UseLegacyDiscovery = true
	_, old, err := legacy.ServerGroupsAndResources()
	if err != nil {
		return err
	}
	for _, list := range old {
		version, _ := schema.ParseGroupVersion(list.GroupVersion)
		if found, there := resources[version]; !there || len(found.APIResources) != len(list.APIResources) {
			return wanted("resources of "+list.GroupVersion, len(list.APIResources), "as many as in the aggregated answer")
		}
	}
	preferred, err := client.ServerPreferredResources()
	if err != nil || len(preferred) == 0 {
		return wanted("preferred", fmt.Sprint(len(preferred), err), "some")
	}
	return nil
}

func restMapper(_ context.Context, w *world) error {
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(w.client.Discovery())), w.client.Discovery(), nil)
	for asked, expected := range map[string]string{"deploy": "deployments", "po": "pods", "cm": "configmaps", "hpa": "horizontalpodautoscalers", "pdb": "poddisruptionbudgets"} {
		found, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: asked})
		if err != nil || found.Resource != expected {
			return wanted(asked, fmt.Sprint(found, err), expected)
		}
	}
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"})
	if err != nil || mapping.Resource.Version != "v2" {
		return wanted("mapping", fmt.Sprint(mapping, err), "v2")
	}
	return nil
}

func openAPI(_ context.Context, w *world) error {
	document, err := w.client.Discovery().OpenAPISchema()
	if err != nil {
		return fmt.Errorf("v2: %w", err)
	}
	if len(document.GetDefinitions().GetAdditionalProperties()) < 500 {
		return wanted("definitions", len(document.GetDefinitions().GetAdditionalProperties()), "at least 500")
	}
	root := openapi3.NewRoot(w.client.Discovery().OpenAPIV3())
	versions, err := root.GroupVersions()
	if err != nil {
		return fmt.Errorf("v3: %w", err)
	}
	for _, version := range versions {
		if _, err := root.GVSpec(version); err != nil {
			return fmt.Errorf("v3 of %s: %w", version, err)
		}
	}
	if len(versions) < 20 {
		return wanted("versions", len(versions), "at least 20")
	}
	return nil
}
