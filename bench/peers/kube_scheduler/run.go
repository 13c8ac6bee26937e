package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"runtime/debug"
	"sort"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

// metricsPercent is the share of cycles whose plugins upstream times (pluginMetricsSamplePercent).
const metricsPercent = 10

type job struct {
	input, placements, workload string
	scoreAll                    bool
	limit, parallelism          int
}

// figures is the line that is printed; latencies are of one scheduling cycle.
type figures struct {
	Peer          string  `json:"peer"`
	Version       string  `json:"version"`
	Workload      string  `json:"workload"`
	Mode          string  `json:"mode"`
	Nodes         int     `json:"nodes"`
	Pods          int     `json:"pods"`
	Placed        int     `json:"placed"`
	Seconds       float64 `json:"seconds"`
	PodsPerSecond float64 `json:"pods_per_second"`
	P50           float64 `json:"p50_us"`
	P90           float64 `json:"p90_us"`
	P95           float64 `json:"p95_us"`
	P99           float64 `json:"p99_us"`
	PeakRSS       int64   `json:"peak_rss_bytes"`
}

func run(ctx context.Context, job job) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found, err := read(job.input)
	if err != nil {
		return err
	}
	if job.limit > 0 && len(found.pending) > job.limit {
		found.pending = found.pending[:job.limit]
	}
	sched, err := newScheduler(ctx, found, job)
	if err != nil {
		return err
	}
	fwk := sched.Profiles[v1.DefaultSchedulerName]
	snapshot, ok := fwk.SnapshotSharedLister().(*cache.Snapshot)
	if !ok {
		return errors.New("the framework's snapshot is not the cache's")
	}
	nodes := make([]string, len(found.pending))
	took := make([]time.Duration, len(found.pending))
	start := time.Now()
	for index, pod := range found.pending {
		began := time.Now()
		if nodes[index], err = cycle(ctx, sched, snapshot, pod); err != nil {
			return err
		}
		took[index] = time.Since(began)
	}
	return report(job, found, nodes, took, time.Since(start))
}

// newScheduler makes upstream's scheduler over an API that holds only what plugins look up.
func newScheduler(ctx context.Context, found *objects, job job) (*scheduler.Scheduler, error) {
	client := fake.NewSimpleClientset(found.others...)
	factory := informers.NewSharedInformerFactory(client, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	share := int32(0) // upstream's default: adaptive
	if job.scoreAll {
		share = 100
	}
	sched, err := scheduler.New(ctx, client, factory, nil, profile.NewRecorderFactory(broadcaster),
		scheduler.WithPercentageOfNodesToScore(&share), scheduler.WithParallelism(int32(job.parallelism)))
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		return nil, err
	}
	logger := klog.FromContext(ctx)
	for _, node := range found.nodes {
		sched.Cache.AddNode(logger, node)
	}
	for _, pod := range found.bound {
		if err := sched.Cache.AddPod(logger, pod); err != nil {
			return nil, err
		}
	}
	return sched, nil
}

// cycle decides for one pod and assumes it on its node; empty where no node fits.
func cycle(ctx context.Context, sched *scheduler.Scheduler, snapshot *cache.Snapshot, pod *v1.Pod) (string, error) {
	logger := klog.FromContext(ctx)
	if err := sched.Cache.UpdateSnapshot(logger, snapshot); err != nil {
		return "", err
	}
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		return "", err
	}
	state := framework.NewCycleState()
	state.SetRecordPluginMetrics(rand.Intn(100) < metricsPercent)
	state.Write(framework.PodsToActivateKey, framework.NewPodsToActivate())
	fwk := sched.Profiles[pod.Spec.SchedulerName]
	if fwk == nil {
		return "", fmt.Errorf("pod %s: no profile is named %q", pod.Name, pod.Spec.SchedulerName)
	}
	result, err := sched.SchedulePod(ctx, fwk, state, &framework.QueuedPodInfo{PodInfo: info})
	var unfit *framework.FitError
	if errors.As(err, &unfit) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	assumed := pod.DeepCopy()
	assumed.Spec.NodeName = result.SuggestedHost
	return result.SuggestedHost, sched.Cache.AssumePod(logger, assumed)
}

func report(job job, found *objects, nodes []string, took []time.Duration, all time.Duration) error {
	told := figures{
		Peer: "kube-scheduler", Version: version(), Workload: job.workload, Mode: "sampled",
		Nodes: len(found.nodes), Pods: len(nodes), Seconds: all.Seconds(),
		PodsPerSecond: float64(len(nodes)) / all.Seconds(),
	}
	if job.scoreAll {
		told.Mode = "all"
	}
	for _, node := range nodes {
		if node != "" {
			told.Placed++
		}
	}
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	percentile := func(share int) float64 {
		if len(took) == 0 {
			return 0
		}
		return float64(took[min(len(took)*share/100, len(took)-1)].Nanoseconds()) / 1e3
	}
	told.P50, told.P90, told.P95, told.P99 = percentile(50), percentile(90), percentile(95), percentile(99)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		told.PeakRSS = usage.Maxrss * 1024
	}
	if job.placements != "" {
		if err := writeLines(job.placements, nodes); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

// version is that of the module this program was built with.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/kubernetes" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func writeLines(path string, lines []string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return file.Close()
}
