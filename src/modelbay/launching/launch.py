"""Launches an agent: finds or starts its gateway, writes its files, runs it, and removes everything afterwards."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from modelbay.errors import ConfigError, FileError
from modelbay.gateway.clients import ClientKeys
from modelbay.gateway.variables import PROXIES
from modelbay.launching import private_folder, shared_gateway
from modelbay.launching.agent_process import run_agent
from modelbay.launching.gateway_watch import GatewayWatch
from modelbay.launching.held_file import HeldFile
from modelbay.launching.installed import version_of
from modelbay.launching.launch_target import ChosenModels, gateway_target
from modelbay.launching.launches import Launches, LaunchesChange, RunningGateway
from modelbay.launching.plan import LaunchPlan, LaunchTarget, plan
from modelbay.launching.program import AgentProgram
from modelbay.launching.shared_gateway import GatewayStart
from modelbay.launching.stored_settings import StoredSettings
from modelbay.secrecy import Hidden
from modelbay.storage.paths import inherited_environment

LOOPBACK = "127.0.0.1,localhost,::1"


class AgentLaunch(Struct, frozen=True):
    """A launch of an agent."""

    program: AgentProgram
    executable: str
    """Path of its program."""
    chosen: ChosenModels
    arguments: Sequence[str]
    """The user's arguments for the agent."""
    direct: LaunchTarget | None
    """The provider, if the agent calls it instead of the gateway."""
    gateway: GatewayStart

    def run(self, started: Callable[[LaunchTarget], object], warn: Callable[[str], object]) -> int:
        """Run the agent until its end, and return its exit code. `started` is called before. `warn` is called after it, if the
        gateway ended while the agent used it, or if the agent stored a model of modelbay in its own settings.

        Raises:
            ConfigError: the gateway or the agent does not start, or a file cannot be read or written.
        """
        launches = Launches()
        with launches.locked() as change:
            change.sweep()
            launch, ready = self._prepared(change)
        try:
            started(ready.target)
            environment = launch_environment(inherited_environment(), ready.plan, ready.target)
            command = [self.executable, *ready.plan.arguments, *self.arguments]
            stored = StoredSettings(self.program)
            if ready.gateway is None:
                code, ended = run_agent(command, environment, launch.descriptor), None
            else:
                with GatewayWatch(launches, ready.gateway, self.gateway, ready.target.key) as watch:
                    code = run_agent(command, environment, launch.descriptor)
                ended = watch.message
            for message in filter(None, (ended, stored.warning(ready.target))):
                warn(message)
            return code
        except OSError as error:
            raise FileError(
                f"could not start {self.executable}: {error.strerror or error}",
                hint=f"check that {self.program.title} is installed correctly: `{self.program.install}`",
                file=self.executable,
            ) from None
        finally:
            _end(launches, launch)

    def _prepared(self, change: LaunchesChange) -> "tuple[HeldFile, _Ready]":
        """The launch with its target, plan and files."""
        key = Hidden("")
        gateway: RunningGateway | None = None
        id = ""
        if self.direct is None:
            key = ClientKeys().local_key()
            gateway = shared_gateway.found(change, self.gateway, key)
            id = gateway.id if gateway else change.new_gateway()
        launch = change.launch(id)  # before the gateway starts, which ends without one
        try:
            target = self.direct
            if target is None:
                gateway = gateway or shared_gateway.start(change, id, self.gateway, key)
                target = gateway_target(self.program, self.chosen, gateway.url, key)
            folder = launch.path.with_suffix("")
            made = plan(self.program, target, str(folder), self._version(target))
            private_folder.fill(folder, made.files, self.program.home)
        except BaseException:
            change.end(launch)
            raise
        return launch, _Ready(target, made, gateway)

    def _version(self, target: LaunchTarget) -> str:
        """The version of the agent, if the plan depends on it."""
        if self.program.catalog is None or not target.through_gateway:
            return ""
        return version_of(self.executable, self.program) or ""


class _Ready(Struct, frozen=True):
    target: LaunchTarget
    plan: LaunchPlan
    gateway: RunningGateway | None


def launch_environment(inherited: Mapping[str, str], made: LaunchPlan, target: LaunchTarget) -> dict[str, str]:
    """The environment of an agent. With a proxy, calls of the gateway must not go through it."""
    environment = {name: value for name, value in inherited.items() if name not in made.unset} | made.environment
    proxied = any(environment.get(name) or environment.get(name.lower()) for name in PROXIES)
    if target.through_gateway and proxied:
        for name in ("NO_PROXY", "no_proxy"):
            environment[name] = ",".join(filter(None, (environment.get(name), LOOPBACK)))
    return environment


def _end(launches: Launches, launch: HeldFile) -> None:
    try:
        with launches.locked() as change:
            change.end(launch)
    except ConfigError:  # another launch removes the rest
        launch.release()
