"""Documents that a client's self-subscriptions are answered with ([MS-SIPREGE] §2.2.2.5, [MS-PRES])."""

from xml.sax.saxutils import escape, quoteattr

from sipgw.registry import Registry

_NAMESPACE = "http://schemas.microsoft.com/2006/09/sip/"


def provisioning(registry: Registry, domain: str) -> str:
    """The provisioning-v2 document for a user of `domain`: persistentChatConfiguration, made from the endpoints.

    The default pool is named by its endpoint: a client that follows provisioning then asks for the same contact object
    as one that guesses it, and moving the endpoint moves both. A pool that no endpoint leads to is not in use yet:
    clients have to go on finding the legacy Lookup service, which registers under the address that they guess.
    """
    contact_object = _contact_object(registry, domain)
    entries = [("EnablePersistentChat", "true" if contact_object else "false")]
    if contact_object:
        entries.append(("DefaultPersistentChatPoolUri", contact_object))
        entries.append(("PersistentChatPoolUris", " ".join(pool.service_uri for pool in registry.pools)))
    properties = "".join(f"<property name={quoteattr(name)}>{escape(value)}</property>" for name, value in entries)
    return (
        f'<provisionGroupList xmlns="{_NAMESPACE}provisiongrouplist-notification">'
        '<provisionGroup name="persistentChatConfiguration">'
        f"<propertyEntryList>{properties}</propertyEntryList></provisionGroup></provisionGroupList>"
    )


def _contact_object(registry: Registry, domain: str) -> str:
    """The endpoint of the user's own SIP domain, else that of the pool that comes first; "" for none."""
    order = {pool.fqdn.lower(): at for at, pool in enumerate(registry.pools)}
    usable = [each for each in registry.endpoints() if each.enabled and each.pool_fqdn.lower() in order]
    if not usable:
        return ""
    own = [each for each in usable if each.sip_address.rpartition("@")[2].lower() == domain.lower()]
    return min(own or usable, key=lambda each: order[each.pool_fqdn.lower()]).sip_address


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
