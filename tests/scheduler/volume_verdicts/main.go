// Command volume_verdicts says what the real kube-scheduler's plugins think of pods, node by node.
//
// Reads one scenario in JSON per line from standard input: {"objects": [...], "pods": [...]}; writes one line for each:
// the PreFilter status or every node's Filter status of each pod in turn, and what PostFilter says. A pod that fits
// somewhere is assumed on the first such node by name, and its Reserve plugins are run, before the next pod is looked at.
// Pods among the objects that have no node and are nominated to one count as that.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

type scenario struct {
	Objects []json.RawMessage `json:"objects"`
	Pods    []*v1.Pod         `json:"pods"`
}

// status is one that is not Success.
type status struct {
	Plugin  string   `json:"plugin"`
	Code    string   `json:"code"`
	Reasons []string `json:"reasons"`
}

type verdict struct {
	Pod       string             `json:"pod"`
	PreFilter *status            `json:"preFilter,omitempty"`
	Nodes     map[string]*status `json:"nodes,omitempty"`
	Chosen    string             `json:"chosen,omitempty"`
	Reserve   string             `json:"reserve,omitempty"`
	// Preempt is the node whose pods would make room, or what PostFilter says; then nothing is asked any more.
	Preempt string `json:"preempt,omitempty"`
	Message string `json:"message,omitempty"`
}

func main() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 1<<20), 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		found, err := judge(lines.Bytes())
		if err != nil {
			fmt.Fprintln(os.Stderr, "volume_verdicts:", err)
			os.Exit(1)
		}
		if err := out.Encode(found); err != nil {
			os.Exit(1)
		}
	}
}

func judge(line []byte) ([]verdict, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var given scenario
	if err := json.Unmarshal(line, &given); err != nil {
		return nil, err
	}
	var others []runtime.Object
	for _, raw := range given.Objects {
		obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
		if err != nil {
			return nil, err
		}
		others = append(others, obj)
	}
	for _, pod := range given.Pods {
		others = append(others, pod)
	}
	client := fake.NewSimpleClientset(others...)
	factory := informers.NewSharedInformerFactory(client, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	sched, err := scheduler.New(ctx, client, factory, nil, profile.NewRecorderFactory(broadcaster))
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		return nil, err
	}
	fw := sched.Profiles[v1.DefaultSchedulerName]
	snapshot, ok := fw.SnapshotSharedLister().(*cache.Snapshot)
	if !ok {
		return nil, errors.New("the framework's snapshot is not the cache's")
	}
	var told []verdict
	for _, pod := range given.Pods {
		one, err := cycle(ctx, sched, fw, snapshot, pod)
		if err != nil {
			return nil, err
		}
		told = append(told, one)
		if one.Preempt != "" {
			break
		}
	}
	return told, nil
}

func cycle(ctx context.Context, sched *scheduler.Scheduler, fw framework.Framework, snapshot *cache.Snapshot, pod *v1.Pod) (verdict, error) {
	told := verdict{Pod: pod.Name}
	logger := klog.FromContext(ctx)
	if err := sched.Cache.UpdateSnapshot(logger, snapshot); err != nil {
		return told, err
	}
	state := framework.NewCycleState()
	_, found, _ := fw.RunPreFilterPlugins(ctx, state, pod)
	if !found.IsSuccess() {
		told.PreFilter = statusOf(found)
		if found.IsRejected() {
			statuses := framework.NewDefaultNodeToStatus()
			statuses.SetAbsentNodesStatus(found)
			preempt(ctx, fw, state, pod, statuses, &told)
		}
		return told, nil
	}
	statuses := framework.NewDefaultNodeToStatus()
	infos, err := snapshot.NodeInfos().List()
	if err != nil {
		return told, err
	}
	told.Nodes = map[string]*status{}
	var names []string
	for _, info := range infos {
		name := info.Node().Name
		found := fw.RunFilterPluginsWithNominatedPods(ctx, state, pod, info)
		if found.IsSuccess() {
			names = append(names, name)
			told.Nodes[name] = nil
			continue
		}
		told.Nodes[name] = statusOf(found)
		if !found.IsRejected() {
			return told, nil
		}
		statuses.Set(name, found)
	}
	if len(names) == 0 {
		preempt(ctx, fw, state, pod, statuses, &told)
		return told, nil
	}
	sort.Strings(names)
	told.Chosen = names[0]
	assumed := pod.DeepCopy()
	assumed.Spec.NodeName = told.Chosen
	if err := sched.Cache.AssumePod(logger, assumed); err != nil {
		return told, err
	}
	if found := fw.RunReservePluginsReserve(ctx, state, assumed, told.Chosen); !found.IsSuccess() {
		told.Reserve = found.Message()
	}
	return told, nil
}

func preempt(ctx context.Context, fw framework.Framework, state fwk.CycleState, pod *v1.Pod, statuses fwk.NodeToStatusReader, told *verdict) {
	result, found := fw.RunPostFilterPlugins(ctx, state, pod, statuses)
	if result != nil && result.NominatingInfo != nil && found.IsSuccess() {
		told.Preempt = result.NominatingInfo.NominatedNodeName
		return
	}
	told.Message = found.Message()
}

func statusOf(found *fwk.Status) *status {
	return &status{Plugin: found.Plugin(), Code: found.Code().String(), Reasons: found.Reasons()}
}
