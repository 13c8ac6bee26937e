"""What the API server answers where it does not do what was asked: ``metav1.Status``, with upstream's texts.

Source: apimachinery pkg/api/errors of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kcore.api import field
from kcore.api.errors import KcoreError
from kcore.api.field import FieldError, quoted

FAULTS_BYTES_MAX: Final = 4 << 20  # of the faults that one answer tells; the rest is not told


class ApiError(KcoreError):
    """A request that fails. ``code`` is HTTP's, ``reason`` the API's; ``details`` as in ``metav1.StatusDetails``."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> dict[str, Any]:
        """The Status object."""
        made: dict[str, Any] = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        }  # fmt: skip
        if self.reason:
            made["reason"] = self.reason
        if self.details is not None:
            made["details"] = self.details
        made["code"] = self.code
        return made

    @property
    def retry_after_seconds(self) -> int:
        """When to try again; 0 where that is not said."""
        return int((self.details or {}).get("retryAfterSeconds", 0))


def group_resource(group: str, resource: str) -> str:
    """``deployments.apps``, or ``pods`` for the core group (GroupResource.String)."""
    return f"{resource}.{group}" if group else resource


def _details(group: str, kind: str, name: str = "", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if name:
        made["name"] = name
    if group:
        made["group"] = group
    if kind:
        made["kind"] = kind
    return made | more


def success(group: str, resource: str, name: str, uid: str) -> dict[str, Any]:
    """The Status of a deletion that took effect at once."""
    details = _details(group, resource, name)
    if uid:
        details["uid"] = uid
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def not_found(group: str, resource: str, name: str) -> ApiError:
    """404: no such object."""
    message = f"{group_resource(group, resource)} {quoted(name)} not found"
    return ApiError(404, "NotFound", message, _details(group, resource, name))


def no_such_path() -> ApiError:
    """404 for a path, or a resource, that this server does not serve."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, resource: str, name: str) -> ApiError:
    """409: an object of that name is there."""
    message = f"{group_resource(group, resource)} {quoted(name)} already exists"
    return ApiError(409, "AlreadyExists", message, _details(group, resource, name))


def generated_name_taken(group: str, resource: str, name: str) -> ApiError:
    """409: every name generated was taken."""
    message = (
        f"{group_resource(group, resource)} {quoted(name)} already exists, "
        "the server was not able to generate a unique name for the object"
    )
    return ApiError(409, "AlreadyExists", message, _details(group, resource, name, retryAfterSeconds=1))


def unauthorized(message: str = "Unauthorized") -> ApiError:
    """401: who asks is not known."""
    return ApiError(401, "Unauthorized", message)


def forbidden(group: str, resource: str, name: str, why: str) -> ApiError:
    """403: who asks, or admission, may not."""
    if not resource:
        message = f"forbidden: {why}"
    elif not name:
        message = f"{group_resource(group, resource)} is forbidden: {why}"
    else:
        message = f"{group_resource(group, resource)} {quoted(name)} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, _details(group, resource, name))


def conflict(group: str, resource: str, name: str, why: str) -> ApiError:
    """409: the object is not as the request takes it to be."""
    message = f"Operation cannot be fulfilled on {group_resource(group, resource)} {quoted(name)}: {why}"
    return ApiError(409, "Conflict", message, _details(group, resource, name))


def apply_conflict(causes: Sequence[dict[str, str]], message: str) -> ApiError:
    """409: others own fields that an apply would change."""
    return ApiError(409, "Conflict", message, {"causes": list(causes)})


def expired(message: str) -> ApiError:
    """410: that resource version is no longer kept."""
    return ApiError(410, "Expired", message)


def gone(message: str) -> ApiError:
    """410, under its older reason."""
    return ApiError(410, "Gone", message)


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422: fields are wrong; each is a cause, as many as FAULTS_BYTES_MAX has room for."""
    title = f"{group_resource(group, kind)} {quoted(name)} is invalid"
    causes: list[dict[str, Any]] = []
    texts, size = [], 0
    for error in errors:
        body = error.body
        size += len(body) + len(error.field)
        if causes and size > FAULTS_BYTES_MAX:
            break
        cause = {"reason": error.type, "message": body}
        if error.field:
            cause["field"] = error.field
        causes.append(cause)
        texts.append(f"{error.field}: {body}")
    message = f"{title}: {field.aggregate(texts)}" if texts else title
    return ApiError(
        422, "Invalid", message, _details(group, kind, name, **({"causes": causes} if causes else {}))
    )


def bad_request(message: str) -> ApiError:
    """400: the request makes no sense."""
    return ApiError(400, "BadRequest", message)


def too_many_requests(message: str, retry_after_seconds: int = 1) -> ApiError:
    """429: come again later."""
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_seconds})


def unavailable(message: str) -> ApiError:
    """503: not now."""
    return ApiError(503, "ServiceUnavailable", message)


def method_not_supported(group: str, resource: str, action: str) -> ApiError:
    """405: that resource has no such verb."""
    message = f"{action} is not supported on resources of kind {quoted(group_resource(group, resource))}"
    return ApiError(405, "MethodNotAllowed", message, _details(group, resource))


def not_acceptable(accepted: Sequence[str]) -> ApiError:
    """406: none of what the client accepts is served."""
    message = f"only the following media types are accepted: {', '.join(accepted)}"
    return ApiError(406, "NotAcceptable", message)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: the body is in no form that this server reads."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message)


def server_timeout(group: str, resource: str, operation: str, retry_after_seconds: int = 0) -> ApiError:
    """500: the operation did not get through; trying again is right."""
    message = (
        f"The {operation} operation against {group_resource(group, resource)} could not be completed at this time, "
        "please try again."
    )
    more = {"retryAfterSeconds": retry_after_seconds} if retry_after_seconds else {}
    return ApiError(500, "ServerTimeout", message, _details(group, resource, operation, **more))


def timeout(message: str, retry_after_seconds: int = 0) -> ApiError:
    """504: it took too long; the operation may still complete."""
    details: dict[str, Any] = {"retryAfterSeconds": retry_after_seconds} if retry_after_seconds else {}
    return ApiError(504, "Timeout", f"Timeout: {message}", details)


def entity_too_large(message: str) -> ApiError:
    """413: the body is larger than the limit."""
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def internal(message: str) -> ApiError:
    """500: a fault of the server."""
    return ApiError(
        500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]}
    )
