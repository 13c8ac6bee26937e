"""The registry put together from its parts, with what single resources do beside being stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kcore.api.apply import managed_fields
from kcore.apiserver.allocators.ports import PortRange
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.operation import Object
from kcore.apiserver.registry import Registry
from kcore.apiserver.registry.binding_plans import BindingPlans
from kcore.apiserver.registry.core import Chance, Core, Hooks, SystemChance
from kcore.apiserver.registry.delete_plans import DeletePlans
from kcore.apiserver.registry.issuing import TokenIssuer
from kcore.apiserver.registry.objects import Objects
from kcore.apiserver.registry.plans import Plans
from kcore.apiserver.registry.seams import Admission, Catalog
from kcore.apiserver.registry.shelf import StampedView
from kcore.apiserver.registry.update_plans import UpdatePlans
from kcore.apiserver.services.allocation import SERVICE_CIDR, ServiceAllocation, service_hooks
from kcore.apiserver.storage import Storage


def finalized(namespace: Object) -> bool:
    """Nothing in the namespace is left to be finalized."""
    return not (namespace.get("spec") or {}).get("finalizers")


def make_registry(
    storage: Storage,
    cacher: Cacher,
    catalog: Catalog,
    admission: Admission,
    *,
    now_seconds: Callable[[], float] = time.time,
    chance: Chance | None = None,
    tokens: TokenIssuer | None = None,
    service_cidrs: Sequence[str] = (SERVICE_CIDR,),
    node_ports: tuple[int, int] | None = None,
    view: StampedView | None = None,
) -> Registry:
    """The registry over that store, which ``cacher`` watches; ``node_ports``: first and last.

    ``view``: what admission sees, where writes that repeat may be made by plan.
    """
    core = Core(
        Objects(storage),
        catalog,
        admission,
        managed_fields,
        cacher=cacher,
        now_seconds=now_seconds,
        chance=chance or SystemChance(),
        tokens=tokens,
    )
    allocation = ServiceAllocation(core, cidrs=service_cidrs, ports=PortRange(*(node_ports or ())))
    core.hooks = {
        ("", "services"): service_hooks(allocation),
        ("", "namespaces"): Hooks(ends_by_update=finalized),
    }
    if view is not None:
        core.plans, core.binding_plans = Plans(view), BindingPlans(view)
        core.update_plans, core.delete_plans = UpdatePlans(view), DeletePlans(view)
    return Registry(core)
