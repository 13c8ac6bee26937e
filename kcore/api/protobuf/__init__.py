"""Kubernetes protobuf: bodies of ``application/vnd.kubernetes.protobuf`` to objects in JSON form, and back.

``messages.txt`` is the table of messages, ``table`` reads it, ``codec`` is the codec of ``kcore_native.protobuf`` over
it with upstream's errors.
"""
