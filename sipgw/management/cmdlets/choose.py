"""What a configuration's commands act on."""

from sipgw.config import Config
from sipgw.management.api_client import running_gateway
from sipgw.management.cmdlets.api_backend import ApiBackend
from sipgw.management.cmdlets.backend import Backend
from sipgw.management.cmdlets.store_backend import StoreBackend
from sipgw.server.running import read_running


def backend_for(config: Config) -> Backend:
    """A gateway that runs on the store and whose API answers; else the store, which a gateway follows by itself.

    Whether one runs is seen without asking anybody: at its address another one might be. Raises ApiError where it turns
    us away, ConfigError for a file of tokens that cannot be used.
    """
    if read_running(config.store.path) is None:
        return StoreBackend(config)
    gateway = running_gateway(config)
    return ApiBackend(config, gateway) if gateway is not None else StoreBackend(config)
