"""The tokens that secrets of type kubernetes.io/service-account-token hold, signed with the cluster's key.

Source: pkg/serviceaccount/legacy.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable

from kcore.apiserver.tokens import Reference, TokenKeys, legacy_claims


def legacy_tokens(keys: TokenKeys) -> Callable[[str, str, str, str], str]:
    """What makes such a token of a namespace, an account, its uid and a secret."""

    def make(namespace: str, account: str, uid: str, secret: str) -> str:
        return keys.sign(legacy_claims(namespace, Reference(account, uid), secret))

    return make
