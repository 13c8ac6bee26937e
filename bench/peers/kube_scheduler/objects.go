package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// lineMax is how long the text of one object may be.
const lineMax = 4 << 20

// objects is what a file holds: nodes, pods that have one, pods that want one, and whatever plugins look up.
type objects struct {
	nodes   []*v1.Node
	bound   []*v1.Pod
	pending []*v1.Pod
	others  []runtime.Object
}

func read(path string) (*objects, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := &objects{}
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 64<<10), lineMax)
	for number := 1; lines.Scan(); number++ {
		if err := found.add(bytes.TrimSpace(lines.Bytes()), number); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return found, lines.Err()
}

func (o *objects) add(line []byte, number int) error {
	if len(line) == 0 {
		return nil
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "Node":
		node := &v1.Node{}
		o.nodes = append(o.nodes, node)
		return json.Unmarshal(line, node)
	case "Pod":
		pod := &v1.Pod{}
		if err := json.Unmarshal(line, pod); err != nil {
			return err
		}
		// the scheduler's cache knows pods by their UID
		pod.UID = types.UID(fmt.Sprintf("uid-%d", number))
		if pod.Spec.SchedulerName == "" {
			pod.Spec.SchedulerName = v1.DefaultSchedulerName
		}
		if pod.Spec.NodeName != "" {
			o.bound = append(o.bound, pod)
		} else {
			o.pending = append(o.pending, pod)
		}
		return nil
	default:
		other, _, err := scheme.Codecs.UniversalDeserializer().Decode(line, nil, nil)
		if err != nil {
			return err
		}
		o.others = append(o.others, other)
		return nil
	}
}
