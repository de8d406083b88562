"""`sipgw serve`: a gateway that runs until it is told to end, in one process or in several."""

import asyncio
import errno
import gc
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sipgw.config import Config, ConfigError
from sipgw.events import Listener
from sipgw.observability.log import get_logger
from sipgw.server.ears import Unbound
from sipgw.server.reload import told, warn_of
from sipgw.server.running import Running, read_running
from sipgw.server.service_manager import ServiceManager
from sipgw.server.store_file import StoreError
from sipgw.server.tls import TlsError

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
    other = read_running(config.store.path)
    try:
        await gateway.start()
    except ConfigError as error:
        for problem in error.problems:
            log.error("cannot start", reason=problem)
        return 1
    except (Unbound, TlsError) as error:
        remedy = _remedy(error.errno, other) if isinstance(error, Unbound) else ""
        for problem in told(config, error):
            log.error("cannot start", reason=f"{problem}{remedy}")
        return 1
    except StoreError as error:
        log.error("cannot start", reason=str(error))
        return 1
    except OSError as error:  # ssl.SSLError is one
        log.error("cannot start", reason=_why(error, other))
        return 1
    if other is not None:
        log.warning("another gateway runs on this store", pid=other.pid, file=str(config.store.path))
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


def _why(error: OSError, other: Running | None) -> str:
    """What could not be had, and what would be right."""
    if error.filename is not None or not error.strerror:
        return f"{error.filename}: {error.strerror}" if error.strerror else str(error)
    return f"{error.strerror}{_remedy(error.errno, other)}"


def _remedy(number: int | None, other: Running | None) -> str:
    """What would be right where the system gives this error; `other` is the gateway that runs on this store already."""
    if number == errno.EADDRINUSE and other is not None:
        again = f"stop it first, or have it read its configuration again: kill -HUP {other.pid}"
        return f": another gateway (pid {other.pid}) runs on this store; {again}"
    return _REMEDIES.get(number or 0, "")


_REMEDIES = {
    errno.EADDRINUSE: ": by another program, or by a gateway that has another store; free it, or change gateway.listen",
    errno.EACCES: "; take a port above 1023 in gateway.listen, or grant CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "; this machine does not have that address: correct gateway.listen",
}


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
