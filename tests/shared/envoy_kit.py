"""Real Envoys that fetch their secrets by SDS: one that speaks mTLS with itself, an app's way out and way in,
and one that calls as Istio has its clients call.
"""

import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

__all__ = ["Envoy", "IstioClient", "Traffic"]

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
READY_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Process:
    """An Envoy with this configuration; `plain` is where apps call it in HTTP."""

    plain: int

    def __init__(self, folder: Path, configuration: dict[str, Any]) -> None:
        file = folder / "envoy.json"
        file.write_text(json.dumps(configuration))
        command = [str(Path(sys.executable).with_name("envoy")), "-c", str(file)]
        command += [
            "--concurrency",
            "1",
            "--log-level",
            "warn",
            "--base-id-path",
            str(folder / "id"),
        ]
        command += ["--use-dynamic-base-id"]
        self._log = (folder / "envoy.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def ready(self) -> None:
        """Wait until both ways are open, which is when the secrets are there."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            try:
                if self.ask() == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        pytest.fail(f"Envoy is not ready: {Path(self._log.name).read_text()[-2000:]}")

    def ask(self) -> int:
        """One request, on a connection of its own; its status."""
        return self.call("GET", "/")[0]

    def call(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=10)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


class Envoy(_Process):
    """`plain` takes HTTP and goes out with mTLS to `tls`, which wants a client certificate and answers."""

    def __init__(self, folder: Path, sds: Path, *, trust: str = "ROOTCA", plain: bool = False):
        self.plain, self.tls, self.admin = free_port(), free_port(), free_port()
        super().__init__(folder, self._configuration(sds, trust, plain))

    def serial(self, chain: Path, key: Path) -> str:
        """Serial of the certificate that this client is shown; raises ssl.SSLError where it is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(chain, key)
        with (
            socket.create_connection(("127.0.0.1", self.tls), timeout=10) as end,
            context.wrap_socket(end) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            # With TLS 1.3 a client learns only from the first answer that it was refused.
            assert tls.recv(4096).startswith(b"HTTP/1.1 200")
            leaf = x509.load_der_x509_certificate(tls.getpeercert(True) or b"")
            return format(leaf.serial_number, "x")

    def uses(self) -> set[str]:
        """Serials of the certificates that new handshakes are made with, as its admin port tells them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        try:
            connection.request("GET", "/certs")
            told = json.loads(connection.getresponse().read())["certificates"]
        finally:
            connection.close()
        chains = [chain for one in told for chain in one.get("cert_chain", [])]
        return {format(int(one["serial_number"], 16), "x") for one in chains}

    def _configuration(self, sds: Path, trust: str, plain: bool) -> dict[str, Any]:
        cluster = {"name": "itself", "type": "STATIC", "connect_timeout": "5s"}
        return {
            "node": {
                "id": "app",
                "cluster": "app",
                "metadata": {"disable_spiffe_cert_validation": plain},
            },
            "admin": {"address": _address(self.admin)},
            "static_resources": {
                "listeners": [
                    {
                        "name": "plain",
                        "address": _address(self.plain),
                        "filter_chains": [_chain("plain", {"route": {"cluster": "itself"}})],
                    },
                    {
                        "name": "tls",
                        "address": _address(self.tls),
                        "filter_chains": [
                            _chain("tls", {"direct_response": {"status": 200}})
                            | {"transport_socket": _transport("Downstream", trust)}
                        ],
                    },
                ],
                "clusters": [
                    cluster
                    | {
                        "load_assignment": _endpoint("itself", _address(self.tls)),
                        "transport_socket": _transport("Upstream", trust),
                        # A connection for each request, so that each makes a handshake.
                        "max_requests_per_connection": 1,
                    },
                    _sds_cluster(sds),
                ],
            },
        }


class IstioClient(_Process):
    """Calls one address as istiod has the Envoy beside a client call a server of the mesh.

    `alpn` is what it offers; `h2` says which HTTP it then speaks. As istiod writes it: the server is known by
    the URI of its certificate, roots come as `ROOTCA`, SNI is the service's name in Istio's form. `newest` is
    the newest TLS that it is allowed.
    """

    def __init__(
        self,
        folder: Path,
        sds: Path,
        to: str,
        identity: str,
        alpn: Sequence[str],
        *,
        h2: bool,
        newest: str = "TLSv1_3",
    ) -> None:
        self.plain = free_port()
        tls = _transport("Upstream", "ROOTCA")
        told = tls["typed_config"]
        told["sni"] = "outbound_.15443_._.feast.pricing.svc.cluster.local"
        common = told["common_tls_context"]
        common["alpn_protocols"] = list(alpn)
        common["tls_params"] = {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": newest,
        }
        roots = common.pop("validation_context_sds_secret_config")
        matcher = {"san_type": "URI", "matcher": {"exact": identity}}
        common["combined_validation_context"] = {
            "default_validation_context": {"match_typed_subject_alt_names": [matcher]},
            "validation_context_sds_secret_config": roots,
        }
        host, _, port = to.rpartition(":")
        cluster = {
            "name": "server",
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": _endpoint("server", _address(int(port), host)),
            "transport_socket": tls,
            "typed_extension_protocol_options": _http("http2" if h2 else "http"),
            # A connection for each few requests, so that handshakes go on.
            "max_requests_per_connection": 3,
        }
        listener = {
            "name": "plain",
            "address": _address(self.plain),
            "filter_chains": [_chain("plain", {"route": {"cluster": "server"}})],
        }
        node = {"id": "sidecar~10.0.0.1~app.pricing~pricing.svc.cluster.local", "cluster": "app"}
        configuration = {
            "node": node | {"metadata": {"disable_spiffe_cert_validation": True}},
            "static_resources": {"listeners": [listener], "clusters": [cluster, _sds_cluster(sds)]},
        }
        super().__init__(folder, configuration)


def _http(version: str) -> dict[str, Any]:
    """The options of a cluster that speaks this and nothing else."""
    explicit: dict[str, Any] = {"explicit_http_config": {f"{version}_protocol_options": {}}}
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {name: {"@type": _OPTIONS} | explicit}


def _sds_cluster(sds: Path) -> dict[str, Any]:
    return {
        "name": "sds",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": _endpoint("sds", {"pipe": {"path": str(sds)}}),
        "typed_extension_protocol_options": _http("http2"),
    }


def _address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _endpoint(name: str, address: dict[str, Any]) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"cluster_name": name, "endpoints": endpoints}


def _chain(name: str, action: dict[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": f"{_HTTP}.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}} | action]}
            ]
        },
    }
    name = "envoy.filters.network.http_connection_manager"
    return {"filters": [{"name": name, "typed_config": manager}]}


def _transport(side: str, trust: str) -> dict[str, Any]:
    source = {
        "resource_api_version": "V3",
        "api_config_source": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": "sds"}}],
        },
    }
    common = {
        # As a client Envoy stops at TLS 1.2 by itself.
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
        "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": source}],
        "validation_context_sds_secret_config": {"name": trust, "sds_config": source},
    }
    told: dict[str, Any] = {"@type": f"{_TLS}.{side}TlsContext", "common_tls_context": common}
    if side == "Downstream":
        told["require_client_certificate"] = True
    return {"name": "envoy.transport_sockets.tls", "typed_config": told}


class Traffic:
    """Requests one after another until `end`, which returns how many came back and which did not."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._over = threading.Event()
        self.answered = 0
        self.failed: list[object] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                status = self._ask()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(error)
            else:
                self.answered += status == 200
                if status != 200:
                    self.failed.append(status)

    def end(self) -> tuple[int, list[object]]:
        self._over.set()
        self._thread.join(15)
        return self.answered, self.failed
