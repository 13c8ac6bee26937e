// Command kube_scheduler schedules a file of Kubernetes objects with the real kube-scheduler, imported as a library.
//
// There is no API server, no queue and no binding: of every pod exactly the scheduling cycle is run (snapshot, filter,
// score, choice, assume), so that what is measured is the deciding. Reads one object in JSON per line: namespaces,
// services and the like, nodes, pods; pods with a node are there already, the others are scheduled in file order.
// Writes one line of figures in JSON to standard output and the chosen nodes, one a line, to -placements.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"k8s.io/klog/v2"
)

func main() {
	klog.InitFlags(nil)
	var job job
	flag.StringVar(&job.input, "input", "", "objects, one in JSON per line")
	flag.StringVar(&job.placements, "placements", "", "where to write the node of every pod, empty for none")
	flag.StringVar(&job.workload, "workload", "", "name to print with the figures")
	flag.BoolVar(&job.scoreAll, "score-all", false, "score every node instead of upstream's default sample")
	flag.IntVar(&job.limit, "limit", 0, "schedule so many pods at most; 0 for all")
	flag.IntVar(&job.parallelism, "parallelism", 16, "goroutines of filters and scores, upstream's default is 16")
	flag.Parse()
	if err := run(context.Background(), job); err != nil {
		fmt.Fprintln(os.Stderr, "kube_scheduler:", err)
		os.Exit(1)
	}
}
