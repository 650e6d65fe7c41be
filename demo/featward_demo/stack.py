"""A whole featward on loopback: two CAs, a real Feast, and sidecars, all as programs of their own.

`prod` is what the tour is about: a sidecar before Feast and one beside a client app. `dev` is a second
environment before the same Feast, with certificates that live for seconds; it plays the stranger and shows
renewals. Everything lies in one folder; `stop` leaves the folder and ends every program.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from featward_demo.authority import Authority
from featward_demo.calls import Identity
from featward_demo.documents import VIEWS, import_feature_set, lay_out, set_mode
from featward_demo.errors import DemoError
from featward_demo.feast_environment import NEWEST, FeastEnvironment, ensure
from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST, ports
from featward_demo.sdk import SdkClient
from featward_demo.sidecar import Sidecar

Progress = Callable[[str], None]
DRIVERS, CUSTOMERS = "driver-stats", "customer-profile"
# A UNIX socket's path has 107 bytes; the longest that we put below the folder has 40.
LONGEST_FOLDER = 60
# A sidecar reads its folder as soon as it changes; ten seconds are a failure.
EFFECT_SECONDS = 10.0


@dataclass(frozen=True)
class Ports:
    """Every port of the demo, in the order in which a row of them is taken."""

    feast: int
    ca: int
    ca_health: int
    server: int
    plain: int
    server_health: int
    drivers: int
    customers: int
    client_health: int
    dev_ca: int
    dev_ca_health: int
    dev_server: int
    dev_server_health: int
    dev_drivers: int
    dev_client_health: int

    @classmethod
    def take(cls, base: int | None) -> "Ports":
        """Free ports, or a row from `base`. Raises PortTakenError."""
        row = ports(base)
        return cls(*(next(row) for _ in cls.__dataclass_fields__))


@dataclass
class Stack:
    """All programs. Use as a context: leaving it stops them."""

    folder: Path
    port_base: int | None = None
    feast_version: str = NEWEST
    # A running Feast to share, which is then neither started nor stopped here.
    shared_feast: FeastServer | None = None
    _identities: dict[str, Identity] = field(default_factory=dict, repr=False)

    @cached_property
    def ports(self) -> Ports:
        return Ports.take(self.port_base)

    @cached_property
    def environment(self) -> FeastEnvironment:
        return ensure(self.feast_version)

    @property
    def manifests(self) -> Path:
        """The folder of prod's manifests."""
        return self.folder / "manifests"

    @property
    def dev_manifests(self) -> Path:
        """The folder of dev's manifests."""
        return self.folder / "manifests-dev"

    def feature_set(self, name: str) -> Path:
        """The file of one of prod's FeatureSets."""
        return self.manifests / f"{name}.yaml"

    @cached_property
    def feast(self) -> FeastServer:
        if self.shared_feast is not None:
            return self.shared_feast
        return FeastServer(
            self.environment, self.folder / "repository", self.ports.feast, self._log("feast")
        )

    @cached_property
    def ca(self) -> Authority:
        log, ports = self._log("ca"), (self.ports.ca, self.ports.ca_health)
        return Authority("prod", self.folder / "ca", self.manifests, log, *ports)

    @cached_property
    def dev_ca(self) -> Authority:
        log, ports = self._log("ca-dev"), (self.ports.dev_ca, self.ports.dev_ca_health)
        folder = self.folder / "ca-dev"
        return Authority("dev", folder, self.dev_manifests, log, *ports, short_lives=True)

    @cached_property
    def server(self) -> Sidecar:
        """Prod's sidecar before Feast."""
        listening = {"listen": self.ports.server, "plain": self.ports.plain}
        return self._sidecar(self.ca, "feast", self.ports.server_health, **listening)

    @cached_property
    def client(self) -> Sidecar:
        """Prod's sidecar beside the client app."""
        outbound = {DRIVERS: self.ports.drivers, CUSTOMERS: self.ports.customers}
        return self._sidecar(self.ca, "pricing-api", self.ports.client_health, outbound=outbound)

    @cached_property
    def dev_server(self) -> Sidecar:
        """Dev's sidecar before the same Feast."""
        ports = {"listen": self.ports.dev_server}
        return self._sidecar(self.dev_ca, "feast", self.ports.dev_server_health, **ports)

    @cached_property
    def dev_client(self) -> Sidecar:
        """Dev's sidecar beside a client."""
        outbound = {DRIVERS: self.ports.dev_drivers}
        health = self.ports.dev_client_health
        return self._sidecar(self.dev_ca, "pricing-api", health, outbound=outbound)

    @cached_property
    def sdk(self) -> SdkClient:
        """The client app: stock Feast SDK, plain HTTP to its own sidecar."""
        return self.app("app", self.environment)

    def app(self, name: str, environment: FeastEnvironment) -> SdkClient:
        """Another client app on the same outbound port, with the SDK of `environment`."""
        url = f"http://{HOST}:{self.ports.drivers}"
        folder = self.folder / name
        return SdkClient(environment, folder, self.feast.registry, url, self._log(name))

    def start(self, progress: Progress = lambda _: None) -> None:
        """Start everything and wait until it is ready; on failure, stop what was started."""
        if len(str(self.folder)) > LONGEST_FOLDER:
            raise DemoError(
                f"{self.folder} is too long a path for the sockets in it; choose a folder of at "
                f"most {LONGEST_FOLDER} characters with --folder"
            )
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise

    def _start(self, progress: Progress) -> None:
        self.environment = ensure(
            self.feast_version, lambda what: progress(f"installing Feast: {what}")
        )
        progress("making Feast's repository and its rows, and starting both CAs")
        for environment, folder in (("prod", self.manifests), ("dev", self.dev_manifests)):
            lay_out(environment, folder, "platform")
        with ThreadPoolExecutor(1) as pool:
            built = pool.submit(self._build_feast)
            self._start_authorities()
            built.result()
        progress("starting Feast, the sidecars and the client app")
        if self.shared_feast is None:
            self.feast.start()
        self.sdk.start()
        self._write_policy()
        self._start_sidecars()
        progress("waiting until Feast, the sidecars and the client app are ready")
        for sidecar in self.sidecars:
            sidecar.ready()
        self.feast.ready()
        self.sdk.ready()

    def _build_feast(self) -> None:
        if self.shared_feast is None:
            self.feast.build()

    def _start_authorities(self) -> None:
        for authority in (self.ca, self.dev_ca):
            authority.start()
        for authority in (self.ca, self.dev_ca):
            authority.ready()

    def _write_policy(self) -> None:
        """The FeatureSets, imported from Feast; prod begins in observe, as a move without an outage does."""
        for name in VIEWS:
            address = f"{HOST}:{self.ports.server}"
            file = import_feature_set(
                name, self.feast.repository, self.manifests, address, self.feast.port
            )
            set_mode(file, "observe", unidentified=True)
        address = f"{HOST}:{self.ports.dev_server}"
        folder, port = self.dev_manifests, self.feast.port
        import_feature_set(DRIVERS, self.feast.repository, folder, address, port)
        lay_out("prod", self.manifests, "bindings")
        lay_out("dev", self.dev_manifests, "bindings")

    def _start_sidecars(self) -> None:
        for sidecar in self.sidecars:
            authority = self.dev_ca if sidecar.workload.startswith("dev.") else self.ca
            if sidecar.token is not None:
                authority.token(sidecar.workload, sidecar.token)
            sidecar.start()

    @property
    def sidecars(self) -> tuple[Sidecar, ...]:
        return (self.server, self.client, self.dev_server, self.dev_client)

    def switch(self, name: str, mode: str, unidentified: bool = False) -> None:
        """Edit a FeatureSet of prod, and wait until the sidecar before Feast holds it to the mode."""
        set_mode(self.feature_set(name), mode, unidentified)
        self.server.program.wait_until(lambda: self._mode(name) == mode, EFFECT_SECONDS)

    def _mode(self, name: str) -> str | None:
        sets = self.server.status()["policy"]["feature_sets"]
        return next((row["mode"] for row in sets if row["name"].endswith(f"/{name}")), None)

    def identity(self, name: str) -> Identity:
        """The certificate, in files, of a workload of prod that has no sidecar; fetched once."""
        if name not in self._identities:
            folder = self.folder / "identities" / name
            self._identities[name] = self.ca.identity(f"prod.payments/{name}", folder)
        return self._identities[name]

    def dev_identity(self, name: str) -> Identity:
        """A fresh certificate of dev; it lives for seconds, so it is fetched each time."""
        folder = self.folder / "identities-dev" / name
        return self.dev_ca.identity(f"dev.payments/{name}", folder)

    def stop(self) -> None:
        """End every program, the outermost first."""
        names = ("sdk", "client", "server", "dev_client", "dev_server", "ca", "dev_ca", "feast")
        # What was never asked for was never made: cached properties lie in the instance once they are.
        for name in names:
            part = self.__dict__.get(name)
            if part is not None and part is not self.shared_feast:
                part.stop()

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _sidecar(self, ca: Authority, name: str, health: int, **listening: Any) -> Sidecar:
        short = name if ca is self.ca else f"{name}-dev"
        return Sidecar(
            workload=f"{ca.environment}.payments/{name}",
            ca=ca.address,
            manifests=ca.manifests,
            token=self.folder / "tokens" / short,
            folder=self.folder / "sidecars" / short,
            log=self._log(f"sidecar-{short}"),
            health=health,
            **listening,
        )
