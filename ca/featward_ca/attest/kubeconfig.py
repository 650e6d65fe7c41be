"""How the CA logs in to a cluster's API server: a kubeconfig, or a pod's own account.

Read anew when a file of it changes, because tokens and certificates of accounts are replaced under
us. What a kubeconfig can hold besides (programs to run, passwords) is for people, and refused.
"""

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from featward_ca.errors import ConfigurationError

IN_CLUSTER = "in-cluster"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_KNOWN_USER = {
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
}


@dataclass(frozen=True)
class Login:
    """An API server's address and how to get in. `files`: those that it was read from, with the
    state in which they were; the token's file is read at every call.
    """

    server: str
    tls: ssl.SSLContext = field(repr=False)
    server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    files: tuple[tuple[Path, int], ...] = ()

    def headers(self) -> dict[str, str]:
        """What proves us to the server. Raises ConfigurationError."""
        token = self.token
        if self.token_file is not None:
            token = _text(self.token_file).strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def is_fresh(self) -> bool:
        """Whether the files are still those that were read."""
        return all(_state(path) == state for path, state in self.files)


def read_login(where: str) -> Login:
    """A login from a kubeconfig's path, or from the pod that we are in (``in-cluster``). Raises
    ConfigurationError.
    """
    if where == IN_CLUSTER:
        return _in_cluster()
    path = Path(where).expanduser().absolute()
    try:
        read = yaml.safe_load(_text(path))
        cluster, user = _current(read)
        return _login(path, cluster, user)
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path} is no kubeconfig with a current-context: {type(error).__name__}: {error}"
        ) from error


def _in_cluster() -> Login:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    if not host or not port:
        raise ConfigurationError(
            "the CA is not in a pod: KUBERNETES_SERVICE_HOST is not set; name a kubeconfig instead"
            f" of {IN_CLUSTER}"
        )
    authority = _ACCOUNT / "ca.crt"
    return Login(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        tls=_tls(_text(authority)),
        token_file=_ACCOUNT / "token",
        files=((authority, _state(authority)),),
    )


def _current(config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    context = _named(config, "contexts", config["current-context"])["context"]
    cluster = _named(config, "clusters", context["cluster"])["cluster"]
    return cluster, _named(config, "users", context["user"])["user"] or {}


def _named(config: Any, section: str, name: str) -> Any:
    for entry in config[section]:
        if entry["name"] == name:
            return entry
    raise KeyError(f"{section} has no {name}")


def _login(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Login:
    if unknown := sorted(user.keys() - _KNOWN_USER):
        raise ConfigurationError(
            f"{path} logs in by {unknown[0]}, which is for people; make a kubeconfig with the token"
            " (tokenFile) or the certificate of a service account that may create tokenreviews"
        )
    server = str(cluster["server"]).rstrip("/")
    if not server.startswith("https://") or cluster.get("insecure-skip-tls-verify"):
        raise ConfigurationError(
            f"{path} does not verify the API server; its server has to begin with https://, with"
            " certificate-authority and without insecure-skip-tls-verify"
        )
    used = [path]

    def text(source: dict[str, Any], key: str) -> str | None:
        if data := source.get(f"{key}-data"):
            return _decoded(path, f"{key}-data", data)
        if file := source.get(key):
            used.append(path.parent / file)
            return _text(used[-1])
        return None

    tls = _tls(text(cluster, "certificate-authority"))
    certificate, key = text(user, "client-certificate"), text(user, "client-key")
    if certificate and key:
        _load_chain(tls, certificate, key)
    token_file = user.get("tokenFile")
    return Login(
        server=server,
        tls=tls,
        server_name=cluster.get("tls-server-name"),
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
        files=tuple((file, _state(file)) for file in used),
    )


def _tls(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authority)
    except ssl.SSLError as error:
        raise ConfigurationError(f"the certificate-authority can't be read: {error}") from error


def _load_chain(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    """Python takes a certificate from a file alone: one that only we can read, gone at once."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        try:
            tls.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"the client-certificate and client-key can't be used: {error}"
            ) from error


def _decoded(path: Path, name: str, data: object) -> str:
    try:
        return base64.b64decode(str(data), validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(f"{name} of {path} is no PEM in base64") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error


def _state(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
