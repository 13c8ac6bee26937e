// Command clientgo uses every part of client-go that controllers use against the API server of $KUBECONFIG.
//
// Requests and answers are protobuf where client-go has types for them. It prints one line a check and ends with 1 if
// one failed. An argument is a part of the names of the checks to run; "upstream" leaves out those that a kube-apiserver
// spoils: its own controllers write to objects that were just made, and it drops watchers that are slow for a moment.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	protobuf     = "application/vnd.kubernetes.protobuf"
	checkSeconds = 60
	space        = "goclients"
)

// world is what every check is given.
type world struct {
	config *rest.Config // protobuf, then JSON
	plain  *rest.Config // JSON only
	client *kubernetes.Clientset
}

type check struct {
	name string
	run  func(ctx context.Context, w *world) error
}

func configs() (*rest.Config, *rest.Config, error) {
	plain, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, nil, err
	}
	plain.QPS, plain.Burst, plain.UserAgent = 500, 500, "clientgo"
	config := rest.CopyConfig(plain)
	config.ContentType = protobuf
	config.AcceptContentTypes = protobuf + ",application/json"
	return config, plain, nil
}

func clientset(config *rest.Config) *kubernetes.Clientset {
	return kubernetes.NewForConfigOrDie(config)
}

func main() {
	config, plain, err := configs()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	w := &world{config: config, plain: plain, client: clientset(config)}
	failed := 0
	part := strings.Join(os.Args[1:], " ")
	for _, c := range checks() {
		left := !strings.Contains(c.name, part)
		if part == "upstream" {
			left = strings.Contains(c.name, "flowcontrol") || c.name == "many watches and creates at once" || c.name == "slow watcher"
		}
		if left && c.name != "namespace" {
			continue
		}
		began := time.Now()
		if err := within(w, c); err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", c.name, err)
			continue
		}
		fmt.Printf("ok   %s (%.2f s)\n", c.name, time.Since(began).Seconds())
	}
	if failed > 0 {
		fmt.Printf("%d failed\n", failed)
		os.Exit(1)
	}
}

// within runs a check and turns a panic or a lack of an end into its failure.
func within(w *world, c check) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), checkSeconds*time.Second)
	defer cancel()
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v", caught)
		}
	}()
	return c.run(ctx, w)
}

func checks() []check {
	all := [][]check{kindChecks(), typedChecks(), watchChecks(), informerChecks(), looseChecks(), accessChecks(), subresourceChecks(), heavyChecks()}
	found := []check{{"namespace", makeNamespace}}
	for _, each := range all {
		found = append(found, each...)
	}
	return found
}

// wanted is an error that says what was found where something else was expected.
func wanted(what string, found, expected any) error {
	return fmt.Errorf("%s: %v, not %v", what, found, expected)
}

// eventually asks until the answer is true.
func eventually(ctx context.Context, what string, ask func() (bool, error)) error {
	for {
		done, err := ask()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within the time", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
