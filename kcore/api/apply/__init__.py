"""Who owns which field of an object, and server-side apply.

Source: apimachinery pkg/util/managedfields of Kubernetes 1.36 and structured-merge-diff v6. The sets and the walks are
compiled (``kcore_native.fieldset``); what a manager may keep, conflicts and the entries themselves are here.
"""
