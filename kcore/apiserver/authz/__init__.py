"""Whether they may: RBAC over a compiled index, impersonation, escalation."""

from kcore.apiserver.authz.contract import Authorizer, Decision, RequestAttributes

__all__ = ["Authorizer", "Decision", "RequestAttributes"]
