"""The extenders of a KubeSchedulerConfiguration.

Source: pkg/scheduler/apis/config/validation (validateExtenders) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence

from kcore.api.errors import InputError
from kcore.scheduler import config_schema as schema
from kcore.scheduler.profile import ExtenderSettings

SECOND_NS = 1_000_000_000


def read_extenders(given: Sequence[schema.Extender]) -> tuple[ExtenderSettings, ...]:
    """Their settings. InputError names the first field that cannot be."""
    managed: set[str] = set()
    binder_count = 0
    found = []
    for index, extender in enumerate(given):
        place = f"extenders[{index}]"
        if not extender.url_prefix:
            raise InputError("is missing", field=f"{place}.urlPrefix", expected="the URL of the extender")
        if extender.prioritize_verb and (extender.weight or 0) <= 0:
            raise InputError(
                f"is {extender.weight or 0}",
                field=f"{place}.weight",
                expected="above 0, as prioritizeVerb is set",
            )
        binder_count += bool(extender.bind_verb)
        if binder_count > 1:
            raise InputError("is a second one", field=f"{place}.bindVerb", expected="one extender that binds")
        for number, resource in enumerate(extender.managed_resources or ()):
            where = f"{place}.managedResources[{number}].name"
            name = resource.name or ""
            if "/" not in name or name.partition("/")[0].endswith("kubernetes.io"):
                raise InputError(
                    f'is "{name}"', field=where, expected="an extended resource, such as example.com/gpu"
                )
            if name in managed:
                raise InputError(f'is "{name}", which an extender manages already', field=where)
            managed.add(name)
        found.append(_settings(place, extender))
    return tuple(found)


def _settings(place: str, given: schema.Extender) -> ExtenderSettings:
    tls = given.tls_config or schema.ExtenderTLSConfig()
    has_authority = bool(tls.ca_data or tls.ca_file)
    is_insecure = bool(tls.insecure) or (bool(given.enable_https) and not has_authority)
    if is_insecure and has_authority:
        raise InputError(
            "is true beside a certificate authority",
            field=f"{place}.tlsConfig.insecure",
            expected="one of the two",
        )
    for one, other, names in (
        (tls.cert_data or tls.cert_file, tls.key_data or tls.key_file, ("keyData", "keyFile")),
        (tls.key_data or tls.key_file, tls.cert_data or tls.cert_file, ("certData", "certFile")),
    ):
        if one and not other:
            raise InputError(
                "is missing", field=f"{place}.tlsConfig.{names[0]}", expected=f"{' or '.join(names)}"
            )
    return ExtenderSettings(
        place=place,
        url_prefix=given.url_prefix or "",
        filter_verb=given.filter_verb or "",
        prioritize_verb=given.prioritize_verb or "",
        preempt_verb=given.preempt_verb or "",
        bind_verb=given.bind_verb or "",
        weight=given.weight or 0,
        seconds_max=given.http_timeout.ns / SECOND_NS if given.http_timeout else 0.0,
        node_cache_capable=bool(given.node_cache_capable),
        managed_resources=frozenset(one.name or "" for one in given.managed_resources or ()),
        is_ignorable=bool(given.ignorable),
        is_insecure=is_insecure,
        server_name=tls.server_name or "",
        ca=tls.ca_data or b"",
        ca_path=tls.ca_file or "",
        cert=tls.cert_data or b"",
        key=tls.key_data or b"",
        cert_path=tls.cert_file or "",
        key_path=tls.key_file or "",
    )
