"""Documents that a client's self-subscriptions are answered with ([MS-SIPREGE] §2.2.2.5, [MS-PRES])."""

from xml.sax.saxutils import escape, quoteattr

from sipgw.registry import Pool, Registry

_NAMESPACE = "http://schemas.microsoft.com/2006/09/sip/"


def provisioning(registry: Registry) -> str:
    """The provisioning-v2 document: persistentChatConfiguration, made from the pools and their endpoints.

    The default pool is named by its endpoint where it has one: a client that follows provisioning then asks for the
    same contact object as one that guesses it, and moving the endpoint moves both.
    """
    pools = list(registry.pools)
    entries = [("EnablePersistentChat", "true" if pools else "false")]
    if pools:
        entries.append(("DefaultPersistentChatPoolUri", _contact_object(registry, pools[0])))
        entries.append(("PersistentChatPoolUris", " ".join(pool.service_uri for pool in pools)))
    properties = "".join(f"<property name={quoteattr(name)}>{escape(value)}</property>" for name, value in entries)
    return (
        f'<provisionGroupList xmlns="{_NAMESPACE}provisiongrouplist-notification">'
        '<provisionGroup name="persistentChatConfiguration">'
        f"<propertyEntryList>{properties}</propertyEntryList></provisionGroup></provisionGroupList>"
    )


def _contact_object(registry: Registry, pool: Pool) -> str:
    for endpoint in registry.endpoints():
        if endpoint.pool_fqdn.lower() == pool.fqdn.lower() and endpoint.enabled:
            return endpoint.sip_address
    return pool.service_uri


def roaming_contacts() -> str:
    """An empty contact list: the gateway keeps none."""
    return '<contactList xmlns="http://schemas.microsoft.com/sip/contacts" deltaNum="1"/>'


def roaming_self(user: str) -> str:
    """No categories, containers or subscribers of `user` (a sip: URI)."""
    return (
        f'<roamingData xmlns="{_NAMESPACE}roaming-self">'
        f'<categories xmlns="{_NAMESPACE}categories" uri={quoteattr(user)}/>'
        f'<containers xmlns="{_NAMESPACE}containers"/>'
        f'<subscribers xmlns="{_NAMESPACE}presence-subscribers"/></roamingData>'
    )
