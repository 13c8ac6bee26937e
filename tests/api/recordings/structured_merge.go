// Reads scenarios (a schema and a list of applies and updates), one a line, and writes what structured-merge-diff
// makes of each: the object, the owners' sets, conflicts, faults. go.mod: sigs.k8s.io/structured-merge-diff/v6 v6.3.2.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

type op struct {
	Op, Manager string
	Force       bool
	Object      json.RawMessage
}
type scenario struct {
	Schema string
	Ops    []op
}
type conv struct{}

func (conv) Convert(o *typed.TypedValue, v fieldpath.APIVersion) (*typed.TypedValue, error) {
	return o, nil
}
func (conv) IsMissingVersionError(err error) bool { return false }

func decode(raw []byte) interface{} {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v interface{}
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return ints(v)
}
func ints(v interface{}) interface{} {
	switch t := v.(type) {
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return i
		}
		f, _ := t.Float64()
		return f
	case map[string]interface{}:
		for k := range t {
			t[k] = ints(t[k])
		}
	case []interface{}:
		for i := range t {
			t[i] = ints(t[i])
		}
	}
	return v
}

func run(s scenario) (out []map[string]interface{}) {
	p, err := typed.NewParser(typed.YAMLObject(s.Schema))
	if err != nil {
		panic(err)
	}
	pt := p.Type("root")
	live, err := pt.FromUnstructured(map[string]interface{}{})
	if err != nil {
		panic(err)
	}
	managers := fieldpath.ManagedFields{}
	up := (&merge.UpdaterBuilder{Converter: conv{}}).BuildUpdater()
	for _, o := range s.Ops {
		res := map[string]interface{}{}
		out = append(out, res)
		v := decode(o.Object)
		if o.Op == "apply" {
			tv, err := pt.FromUnstructured(v)
			if err != nil {
				res["invalid"] = err.Error()
				continue
			}
			next, ms, err := up.Apply(live, tv, "v1", managers.Copy(), o.Manager, o.Force)
			if err != nil {
				if c, ok := err.(merge.Conflicts); ok {
					paths := []string{}
					for _, x := range c {
						paths = append(paths, x.Manager+" "+x.Path.String())
					}
					res["conflicts"] = paths
				} else {
					res["error"] = err.Error()
				}
				continue
			}
			managers = ms
			res["noop"] = next == nil
			if next != nil {
				live = next
			}
		} else {
			tv, err := pt.FromUnstructured(v, typed.AllowDuplicates)
			if err != nil {
				res["invalid"] = err.Error()
				continue
			}
			_, ms, err := up.Update(live, tv, "v1", managers.Copy(), o.Manager)
			if err != nil {
				res["error"] = err.Error()
				continue
			}
			managers = ms
			live = tv
		}
		res["object"] = live.AsValue().Unstructured()
		m := map[string]json.RawMessage{}
		for k, vs := range managers {
			b, err := vs.Set().ToJSON()
			if err != nil {
				panic(err)
			}
			m[fmt.Sprintf("%s/%v", k, vs.Applied())] = b
		}
		res["managers"] = m
	}
	return
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<26)
	w := bufio.NewWriter(os.Stdout)
	defer w.Flush()
	for in.Scan() {
		var s scenario
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			panic(err)
		}
		b, err := json.Marshal(run(s))
		if err != nil {
			panic(err)
		}
		w.Write(b)
		w.WriteByte('\n')
	}
}
