// Reads documents with patches, one pair a line, and writes what Go makes of each: strategic merge (apimachinery v0.36.0,
// of the type Thing), JSON patch and merge patch (evanphx/json-patch v4.13.0). Slices have no room to grow, as in the
// API server.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

type Inner struct {
	Name string `json:"name"`
	V    string `json:"v,omitempty"`
}
type Item struct {
	Name  string   `json:"name"`
	V     string   `json:"v,omitempty"`
	Inner []Inner  `json:"inner,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Nums  []string `json:"nums,omitempty" patchStrategy:"merge"`
}
type Whole struct {
	X string `json:"x,omitempty"`
	Y string `json:"y,omitempty"`
}
type Sub struct {
	A string `json:"a,omitempty"`
	B string `json:"b,omitempty"`
}
type Thing struct {
	A      string            `json:"a,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Plain  []string          `json:"plain,omitempty"`
	List   []Item            `json:"list,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
	Nums   []string          `json:"nums,omitempty" patchStrategy:"merge"`
	Whole  Whole             `json:"whole,omitempty" patchStrategy:"replace"`
	Sub    Sub               `json:"sub,omitempty"`
}
type in struct {
	Kind       string
	Doc, Patch json.RawMessage
}

func exact(v interface{}) interface{} {
	switch t := v.(type) {
	case map[string]interface{}:
		for k := range t {
			t[k] = exact(t[k])
		}
	case []interface{}:
		n := make([]interface{}, len(t))
		for i := range t {
			n[i] = exact(t[i])
		}
		return n
	}
	return v
}
func strategic(doc, patch []byte) (out map[string]interface{}, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var d, p map[string]interface{}
	json.Unmarshal(doc, &d)
	json.Unmarshal(patch, &p)
	exact(d)
	return strategicpatch.StrategicMergeMapPatch(d, p, &Thing{})
}
func ops(doc, patch []byte) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	return p.Apply(doc)
}
func main() {
	s := bufio.NewScanner(os.Stdin)
	s.Buffer(nil, 1<<26)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	for s.Scan() {
		var i in
		if err := json.Unmarshal(s.Bytes(), &i); err != nil {
			panic(err)
		}
		var res interface{}
		var err error
		switch i.Kind {
		case "strategic":
			res, err = strategic(i.Doc, i.Patch)
		case "json":
			var b []byte
			b, err = ops(i.Doc, i.Patch)
			res = json.RawMessage(b)
		case "merge":
			var b []byte
			b, err = jsonpatch.MergePatch(i.Doc, i.Patch)
			res = json.RawMessage(b)
		}
		m := map[string]interface{}{"result": res}
		if err != nil {
			m = map[string]interface{}{"error": err.Error()}
		}
		b, _ := json.Marshal(m)
		w.Write(b)
		w.WriteByte('\n')
	}
}
