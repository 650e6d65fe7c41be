"""`grpc.health.v1.Health/Check`: whether there is an identity to fetch. It wants no security header."""

from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.call import Call, Handler
from featward_sidecar.socket.standing import Standing

__all__ = ["SERVICE", "open_method"]

SERVICE = "grpc.health.v1.Health"

_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""A HealthCheckResponse, whose only field is an enumeration."""


def open_method(call: Call, method: str, standing: Standing) -> Handler | None:
    """Answer at once: a health check is of this moment."""
    if method != "Check":
        call.end(Status.UNIMPLEMENTED, f"{SERVICE} has Check only")
        return None
    return _Check(call, standing)


class _Check:
    def __init__(self, call: Call, standing: Standing) -> None:
        self._call = call
        self._standing = standing

    def message(self, data: bytes) -> None:
        pass  # whatever service it names: all of them have one answer

    def half_closed(self) -> None:
        self._call.send(_SERVING if self._standing.content else _NOT_SERVING)
        self._call.end(Status.OK)
