"""The core of the watch cache: objects as bytes or as places in the store, their labels and fields, events, watchers."""
