"""kcore etcd against the real etcd: a Go module that pins its version and loads both, and what drives them."""
