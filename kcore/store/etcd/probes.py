"""gRPC's own services: health (grpc.health.v1), and reflection, by which tools like grpcurl find the others."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages
from kcore.store.etcd.rpc import Context, Stream
from kcore.store.face import Store

SERVING: Final = 1
NOT_SERVING: Final = 2
SERVICE_UNKNOWN: Final = 3
WATCH_SECONDS: Final = 1.0  # between looks at the health for those who watch it


class HealthService:
    """``grpc.health.v1.Health``: whether this member has a leader and runs."""

    def __init__(self, store: Store, services: Collection[str]) -> None:
        self.store = store
        self.services = services

    def _status(self, service: str) -> int:
        if service and service not in self.services:
            return SERVICE_UNKNOWN
        return SERVING if self.store.leader_id and not self.store.stopped else NOT_SERVING

    async def check(self, request: Any, context: Context) -> Any:
        """The health now."""
        status = self._status(request.service)
        if status == SERVICE_UNKNOWN:
            raise StoreError(Code.NOT_FOUND, "unknown service")
        return messages.message("grpc.health.v1.HealthCheckResponse")(status=status)

    async def watch(self, stream: Stream, context: Context) -> None:
        """The health now, and whenever it is another."""
        request = await stream.receive()
        told = None
        while request is not None:
            status = self._status(request.service)
            if status != told:
                told = status
                await stream.send(messages.message("grpc.health.v1.HealthCheckResponse")(status=status))
            await asyncio.sleep(WATCH_SECONDS)


class ReflectionService:
    """``grpc.reflection.v1.ServerReflection`` over our own descriptions."""

    def __init__(self, services: Collection[str]) -> None:
        self.services = services

    async def server_reflection_info(self, stream: Stream, context: Context) -> None:
        """Answers questions about services and messages until there are no more."""
        while (request := await stream.receive()) is not None:
            response = messages.message("grpc.reflection.v1.ServerReflectionResponse")(
                valid_host=request.host, original_request=request
            )
            which = request.WhichOneof("message_request")
            try:
                self._answer(response, request, which)
            except KeyError:
                response.error_response.error_code = Code.NOT_FOUND
                response.error_response.error_message = f"not found: {getattr(request, which)}"
            await stream.send(response)

    def _answer(self, response: Any, request: Any, which: str | None) -> None:
        pool = messages.pool()
        if which == "list_services":
            response.list_services_response.SetInParent()
            for name in sorted(self.services):
                response.list_services_response.service.add(name=name)
        elif which == "file_by_filename":
            self._file(response, pool.FindFileByName(request.file_by_filename))
        elif which == "file_containing_symbol":
            self._file(response, pool.FindFileContainingSymbol(request.file_containing_symbol))
        else:
            response.error_response.error_code = Code.UNIMPLEMENTED
            response.error_response.error_message = "there are no extensions"

    @staticmethod
    def _file(response: Any, file: Any) -> None:
        """The file and all that it imports."""
        left, seen = [file], set()
        while left:
            each = left.pop()
            if each.name not in seen:
                seen.add(each.name)
                response.file_descriptor_response.file_descriptor_proto.append(each.serialized_pb)
                left.extend(each.dependencies)
