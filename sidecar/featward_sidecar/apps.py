"""The ways by which apps beside us get our identity, as the configuration asks for them: none, or some.

Only wiring; what a sidecar does not offer is not even imported, so that it costs no memory.
"""

import threading
from typing import Protocol

from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.configuration import Configuration
from featward_sidecar.consumers import Sink

__all__ = ["Apps"]


class Part(Sink, Protocol):
    """A sink with a thread of its own."""

    def run(self) -> None: ...
    def stop(self) -> None: ...


class Apps:
    """`start` before there is an identity, `stop` when there will be none any more."""

    def __init__(self, configuration: Configuration, status: AgentStatus) -> None:
        self._configuration = configuration
        self._status = status
        self._threads: list[threading.Thread] = []
        self.parts: list[Part] = []

    def start(self) -> None:
        """Try the folder, bind the socket, and run. Raises StartError."""
        if self._configuration.output is not None:
            self.parts.append(self._files())
        if self._configuration.agent.workload_socket is not None:
            self.parts.append(self._socket())
        for part in self.parts:
            name = type(part).__name__
            thread = threading.Thread(target=part.run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        for part in self.parts:
            part.stop()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _socket(self) -> Part:
        from featward_sidecar.socket import health, secrets, workload_api
        from featward_sidecar.socket.server import SocketServer

        agent = self._configuration.agent
        assert agent.workload_socket is not None  # noqa: S101  start has looked
        services = {each.SERVICE: each.open_method for each in (health, secrets, workload_api)}
        server = SocketServer(agent.workload_socket, int(agent.workload_socket_mode, 8), services)
        server.bind()
        self._status.update("apps", socket=str(agent.workload_socket))
        return server

    def _files(self) -> Part:
        from featward_sidecar.output_files import OutputFiles

        assert self._configuration.output is not None  # noqa: S101  start has looked
        files = OutputFiles(self._configuration.output, self._status)
        files.try_folder()
        self._status.update("apps", files=str(self._configuration.output.folder))
        return files
