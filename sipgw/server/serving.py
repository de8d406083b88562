"""`sipgw serve`: a gateway that runs until it is told to end, in one process or in several."""

import asyncio
import gc
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sipgw.config import Config, ConfigError
from sipgw.events import Listener
from sipgw.observability.log import get_logger
from sipgw.server.reload import warn_of
from sipgw.server.service_manager import ServiceManager
from sipgw.server.store_file import StoreError

if TYPE_CHECKING:
    from sipgw.server.admin.explaining import Explain

Wishes = asyncio.Queue[bool]  # True to reload, False to end


class Gateway(Protocol):
    """A gateway, however many processes it is."""

    @property
    def listeners(self) -> Sequence[Listener]: ...

    async def start(self) -> None:
        """Raises ConfigError, OSError or StoreError with a text for the operator."""

    async def reload(self) -> list[str]: ...

    async def stop(self) -> None: ...

    def reopen_log(self) -> None: ...

    def problems(self) -> list[str]: ...

    def status(self) -> str: ...


async def serve(config: Config, explain: "Explain | None" = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status."""
    gateway = _gateway(config, explain)
    log = get_logger()
    wishes = _take_signals(gateway)  # before anybody can know that we run
    try:
        await gateway.start()
    except ConfigError as error:
        for problem in error.problems:
            log.error("cannot start", reason=problem)
        return 1
    except (OSError, StoreError) as error:  # ssl.SSLError is an OSError
        log.error("cannot start", reason=str(error))
        return 1
    calm_collector()
    warn_of(gateway.problems())
    log.info("listening", addresses=_addresses(gateway), fqdn=config.gateway.fqdn, pid=os.getpid())
    service = ServiceManager()
    service.ready(gateway.status())
    telling = asyncio.get_running_loop().create_task(service.keep(gateway.status))
    await _until_stopped(gateway, wishes, service)
    telling.cancel()
    service.stopping("finishing calls under way")
    log = get_logger()
    log.info("draining")
    await gateway.stop()
    log.info("stopped")
    return 0


def _gateway(config: Config, explain: "Explain | None") -> Gateway:
    """Only what is needed is loaded."""
    if config.gateway.workers > 1:
        from sipgw.server.workers.supervisor import Supervisor

        return Supervisor(config)
    from sipgw.server.app import GatewayApp

    return GatewayApp(config, explain=explain)


def _addresses(gateway: Gateway) -> str:
    return " ".join(str(listener) for listener in gateway.listeners)


def _take_signals(gateway: Gateway) -> Wishes:
    wishes: Wishes = asyncio.Queue()  # no longer than signals come, and the kernel merges those
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, wishes.put_nowait, number == signal.SIGHUP)
    loop.add_signal_handler(signal.SIGUSR1, gateway.reopen_log)
    return wishes


async def _until_stopped(gateway: Gateway, wishes: Wishes, service: ServiceManager) -> None:
    """Wait for SIGTERM or SIGINT; SIGHUP reloads meanwhile, one after the other."""
    while await wishes.get():
        service.reloading()
        problems = await gateway.reload()
        for problem in problems:
            get_logger().error("not reloaded", reason=problem)
        if not problems:
            get_logger().info("reloaded", addresses=_addresses(gateway))
        service.ready(gateway.status() if not problems else f"not reloaded: {problems[0]}")


def calm_collector() -> None:
    """Transactions are freed by their reference counts; looking through thousands of live ones for cycles that are not
    there costs a quarter of a call and pauses of tens of milliseconds. So it is done seldom, and not over the program.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 1_000, 1_000)
