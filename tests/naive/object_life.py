"""The life of one object by the book: created, changed, deleted, finalized. Slow and obvious."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Life:
    """What is known of the one object; None in ``uid``: there is none."""

    uid: str | None = None
    version: int = 0  # counts writes, as a resource version does
    data: dict[str, str] = field(default_factory=dict)
    finalizers: list[str] = field(default_factory=list)
    going: bool = False

    def create(self, uid: str, data: dict[str, str], finalizers: list[str]) -> int:
        """201, or 409 where it is there."""
        if self.uid is not None:
            return 409
        self.uid, self.data, self.finalizers, self.going = uid, dict(data), list(finalizers), False
        self.version += 1
        return 201

    def update(self, version: int | None, data: dict[str, str], finalizers: list[str]) -> int:
        """200, 404, 409 for an old version, 422 for a finalizer that comes too late."""
        if self.uid is None:
            return 404
        if version is not None and version != self.version:
            return 409
        if self.going and set(finalizers) - set(self.finalizers):
            return 422
        changed = data != self.data or finalizers != self.finalizers
        self.data, self.finalizers = dict(data), list(finalizers)
        if self.going and not self.finalizers:
            self.uid = None
            self.version += 1
        elif changed:
            self.version += 1
        return 200

    def delete(self, uid: str | None, policy: str | None) -> int:
        """200, 404, 409 for another object."""
        if self.uid is None:
            return 404
        if uid is not None and uid != self.uid:
            return 409
        wanted = {"Orphan": ["orphan"], "Foreground": ["foregroundDeletion"], "Background": []}
        collectors = [name for name in self.finalizers if name in ("orphan", "foregroundDeletion")]
        if policy is not None:
            kept = [name for name in self.finalizers if name not in collectors]
            if set(collectors) != set(wanted[policy]):
                changed = kept + wanted[policy]
            else:
                changed = self.finalizers
        else:
            changed = self.finalizers
        if not changed:
            self.uid = None
            self.version += 1
            return 200
        if changed != self.finalizers or not self.going:
            self.version += 1
        self.finalizers, self.going = list(changed), True
        return 200
