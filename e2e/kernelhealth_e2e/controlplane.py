"""etcd and kube-apiserver, with or without the controllers, in one directory on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self

from kernelhealth_e2e import accounts, certificates, kubeconfig, ports, processes, programs
from kernelhealth_e2e.accounts import Account
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.namespaces import Outside, Place
from kernelhealth_e2e.processes import Command, Process

if TYPE_CHECKING:
    from pathlib import Path


READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What one control plane is made of.

    ``binaries`` holds the Kubernetes programs. ``directory`` is made if missing and holds keys,
    logs and etcd's data. ``users`` may log in beside the administrator. ``flags`` come last on the
    API server's command line and so win. ``bound`` has the kernel kill everything with the thread
    that called start(). The other fields are for a control plane inside a node: ``address``,
    ``port`` and ``bind`` say where it listens there, ``published`` is where the caller reaches it.
    """

    binaries: Path
    directory: Path
    users: tuple[Account, ...] = ()
    flags: tuple[str, ...] = ()
    controllers: bool = False
    bound: bool = True
    address: str = "127.0.0.1"
    port: int | None = None
    bind: str = "127.0.0.1"
    published: str | None = None
    place: Place = field(default_factory=Outside)


@dataclass(slots=True)
class ControlPlane:
    """A control plane; use it as a context manager, or call start() and stop() in pairs.

    After start(): ``server`` is the URL for the caller and ``inner_server`` the one for programs
    beside it, ``ca`` the PEM file that verifies both, ``kubeconfig`` the administrator's file.
    """

    settings: Settings
    admin: Account = field(default_factory=accounts.administrator)
    controller_manager: Account = field(default_factory=accounts.controller_manager)
    scheduler: Account = field(default_factory=accounts.scheduler)
    server: str = field(init=False)
    inner_server: str = field(init=False)
    authority: certificates.Authority = field(init=False)
    kubeconfig: Path = field(init=False)
    _signing: certificates.Pair = field(init=False)
    _api_command: Command = field(init=False)
    _etcd: Process | None = None
    _api: Process | None = None
    _controllers: list[Process] = field(default_factory=list)

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return self.admin.token

    @property
    def ca(self) -> Path:
        """The PEM file of the certificate authority."""
        return self.authority.pair.certificate

    def __enter__(self) -> Self:
        """Start, or leave nothing running when that fails."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    def start(self) -> None:
        """Make keys, start etcd and the API server, wait for /readyz, then the controllers."""
        wanted = self.settings
        client, peer, port = ports.free(3)
        self.inner_server = f"https://{wanted.address}:{wanted.port or port}"
        self.server = f"https://{wanted.published}" if wanted.published else self.inner_server
        self._prepare()
        self._etcd = self._start("etcd", programs.etcd(wanted.directory / "etcd", client, peer))
        api = programs.ApiServer(self.authority, self._signing, client, wanted.port or port)
        self._api_command = self._command("kube-apiserver", api.argv(wanted))
        api_process = self.start_apiserver()
        if wanted.controllers:
            self._start_controllers(api_process)

    def stop(self) -> None:
        """Stop what runs, controllers first; nothing happens when nothing runs."""
        while self._controllers:
            self._controllers.pop().kill()
        self.stop_apiserver()
        if self._etcd:
            self._etcd.kill()
            self._etcd = None

    def stop_apiserver(self) -> None:
        """Begin an outage: the API server is killed, every connection to it is cut."""
        if self._api:
            self._api.kill()
            self._api = None

    def start_apiserver(self) -> Process:
        """Start the server, or end an outage with the same port and data; waits for /readyz."""
        if self._api:
            raise HarnessError("the API server runs already; call stop_apiserver() first")
        self._api = processes.start(self._api_command)
        self._api.await_ready(self.is_ready, READY_SECONDS)
        return self._api

    def is_ready(self) -> bool:
        """Ask /readyz as the administrator."""
        return self._answers(programs.READY_PATH, self.admin)

    def pids(self) -> dict[str, int]:
        """Return the pids of what runs, by name of the program."""
        running = (self._etcd, self._api, *self._controllers)
        return {process.command.name: process.pid for process in running if process}

    def kubectl(self, *arguments: str, stdin: str = "", seconds: float = 60) -> str:
        """Run kubectl as the administrator and return what it printed; failing raises."""
        binary = str(self.settings.binaries / "kubectl")
        argv = (binary, f"--kubeconfig={self.kubeconfig}", *arguments)
        return processes.output(argv, stdin=stdin, seconds=seconds)

    def kubeconfig_for(self, account: Account, *, inner: bool = False) -> Path:
        """Write and return a kubeconfig for an account that the server knows."""
        name = account.user.replace(":", "-")
        path = self.settings.directory / f"{name}.kubeconfig"
        server = self.inner_server if inner else self.server
        return kubeconfig.write(path, server=server, ca=self.ca, token=account.token)

    def _prepare(self) -> None:
        directory = self.settings.directory
        self.authority = certificates.authority(directory / "keys")
        self._signing = certificates.signing_key(directory / "keys")
        self.kubeconfig = self.kubeconfig_for(self.admin)
        known = (self.admin, self.controller_manager, self.scheduler, *self.settings.users)
        accounts.write(directory / "tokens.csv", known)

    def _start_controllers(self, api: Process) -> None:
        # /readyz comes before the authorizer has seen the roles that the server made for itself.
        for account in (self.controller_manager, self.scheduler):
            permitted = partial(self._answers, programs.COMPONENT_PATH, account)
            api.await_ready(permitted, READY_SECONDS)
        manager = self.kubeconfig_for(self.controller_manager, inner=True)
        argv = programs.controller_manager(self.settings.binaries, manager, self.ca, self._signing)
        self._controllers.append(self._start("kube-controller-manager", argv))
        scheduler = self.kubeconfig_for(self.scheduler, inner=True)
        argv = programs.scheduler(self.settings.binaries, scheduler)
        self._controllers.append(self._start("kube-scheduler", argv))

    def _answers(self, path: str, account: Account) -> bool:
        return programs.answers(self.server, path, self.ca, account.token)

    def _start(self, name: str, argv: tuple[str, ...]) -> Process:
        return processes.start(self._command(name, argv))

    def _command(self, name: str, argv: tuple[str, ...]) -> Command:
        log = self.settings.directory / "logs" / f"{name}.log"
        return Command(name, argv, log, place=self.settings.place, bound=self.settings.bound)
