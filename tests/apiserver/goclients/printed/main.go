// Says of each pod template, one JSON object a line, how Go prints it for a hash, and the hash with collision counts.
//
// As in a controller, the template comes by protobuf. Source: pkg/controller/controller_utils.go (ComputeHash).
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/dump"
)

type answer struct {
	Text   string   `json:"text"`
	Hashes []string `json:"hashes"` // without a count, with 0, with 7
}

func hashed(template corev1.PodTemplateSpec, count *int32) string {
	hasher := fnv.New32a()
	fmt.Fprintf(hasher, "%v", dump.ForHash(template))
	if count != nil {
		bytes := make([]byte, 8)
		binary.LittleEndian.PutUint32(bytes, uint32(*count))
		hasher.Write(bytes)
	}
	return rand.SafeEncodeString(fmt.Sprint(hasher.Sum32()))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var read, template corev1.PodTemplateSpec
		must(json.Unmarshal(lines.Bytes(), &read))
		wire, err := read.Marshal()
		must(err)
		must(template.Unmarshal(wire))
		zero, seven := int32(0), int32(7)
		must(out.Encode(answer{dump.ForHash(template), []string{
			hashed(template, nil), hashed(template, &zero), hashed(template, &seven),
		}}))
	}
	must(lines.Err())
}
