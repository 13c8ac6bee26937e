"""The fixtures that kcore ships, which an installed kcore brings by its entry point."""

from kcore.pytest_plugin import kcore_cluster, kcore_namespace, kcore_options  # noqa: F401
