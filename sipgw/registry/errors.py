"""Why a change of the registry is refused. The text of each is one line for an administrator and names the holder."""


class RegistryError(Exception):
    """A change or question that the registry refuses."""


class BadAddress(RegistryError):
    """Not the address of an endpoint of ours."""


class BadDisplayName(RegistryError):
    """Not a name that could be shown on one line."""


class UnknownPool(RegistryError):
    """No pool of this name is configured."""


class AlreadyExists(RegistryError):
    """An endpoint, or a pool's own contact object, has this address already."""


class HeldByUser(RegistryError):
    """A user holds this address: an address-of-record is an endpoint or a user, never both."""


class Declared(RegistryError):
    """The endpoint stands in the configuration file; only an edit there removes it."""


class NotFound(RegistryError):
    """No endpoint has this address or display name."""


class Ambiguous(RegistryError):
    """Several endpoints have this display name."""


class NoServer(RegistryError):
    """No pool has a server of this name."""


class ServersUnknown(RegistryError):
    """Only the name service knows the servers of this pool."""
