// Loads an etcd cluster and prints what it bore as one JSON object: the load half of `make bench-etcd`.
//
// So many goroutines each make one request after the other for so many seconds, over so many connections. The first
// tenth of the time is not counted.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

type result struct {
	Operation string  `json:"operation"`
	Clients   int     `json:"clients"`
	Requests  int     `json:"requests"`
	Failed    int64   `json:"failed"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Error     string  `json:"error,omitempty"`
}

func main() {
	endpoints := flag.String("endpoints", "http://127.0.0.1:2379", "client URLs, separated by commas")
	clients := flag.Int("clients", 1, "requests under way at once")
	connections := flag.Int("connections", 1, "connections that the clients share")
	operation := flag.String("operation", "put", "put, range (linearizable) or serializable")
	seconds := flag.Float64("seconds", 3, "how long")
	valueBytes := flag.Int("value-bytes", 256, "length of a value")
	keys := flag.Int("keys", 10000, "how many different keys")
	flag.Parse()

	opened := make([]*clientv3.Client, *connections)
	for i := range opened {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: strings.Split(*endpoints, ","), DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer client.Close()
		opened[i] = client
	}
	value := strings.Repeat("x", *valueBytes)
	one := func(client *clientv3.Client, chance *rand.Rand) error {
		key := fmt.Sprintf("bench/%08d", chance.Intn(*keys))
		var err error
		switch *operation {
		case "put":
			_, err = client.Put(context.Background(), key, value)
		case "range":
			_, err = client.Get(context.Background(), key)
		case "serializable":
			_, err = client.Get(context.Background(), key, clientv3.WithSerializable())
		default:
			err = fmt.Errorf("unknown operation %q", *operation)
		}
		return err
	}
	fmt.Fprintln(os.Stdout, line(run(opened, *clients, *seconds, *operation, one)))
}

func run(
	opened []*clientv3.Client, clients int, seconds float64, operation string,
	one func(*clientv3.Client, *rand.Rand) error,
) result {
	length := time.Duration(seconds * float64(time.Second))
	begin := time.Now()
	counted, end := begin.Add(length/10), begin.Add(length)
	latencies := make([][]time.Duration, clients)
	var failed atomic.Int64
	var first atomic.Value
	var group sync.WaitGroup
	for i := range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			chance := rand.New(rand.NewSource(int64(i)))
			client := opened[i%len(opened)]
			for {
				start := time.Now()
				if !start.Before(end) {
					return
				}
				if err := one(client, chance); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				} else if start.After(counted) {
					latencies[i] = append(latencies[i], time.Since(start))
				}
			}
		}()
	}
	group.Wait()
	took := time.Since(counted).Seconds()
	var all []time.Duration
	for _, some := range latencies {
		all = append(all, some...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[int(share*float64(len(all)-1))].Microseconds())
	}
	message, _ := first.Load().(string)
	return result{
		Operation: operation, Clients: clients, Requests: len(all), Failed: failed.Load(), Seconds: took,
		PerSecond: float64(len(all)) / took, P50: at(0.5), P99: at(0.99), Error: message,
	}
}

func line(found result) string {
	text, err := json.Marshal(found)
	if err != nil {
		panic(err)
	}
	return string(text)
}
