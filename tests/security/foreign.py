"""The table of places that are none of ours, in the spellings that a check on text could miss."""

from tests.harness import DOMAIN, FQDN, GATEWAY, GATEWAY6
from tests.security.watching import VICTIM

ADDRESSES = {
    "plain": VICTIM,
    "decimal": "3405803785",
    "hexadecimal": "0xcb007109",
    "hexadecimal-parts": "0xcb.0x0.0x71.0x9",
    "octal": "0313.0.0161.011",
    "short": "203.28937",
    "padded": "203.000.113.009",
    "trailing-dot": f"{VICTIM}.",
    "mapped": f"[::ffff:{VICTIM}]",
    "mapped-hexadecimal": "[::ffff:cb00:7109]",
    "compatible": f"[::{VICTIM}]",
    "nat64": "[64:ff9b::cb00:7109]",
    "loopback": "127.0.0.1",
    "loopback-6": "[::1]",
    "unspecified": "0.0.0.0",
    "broadcast": "255.255.255.255",
    "localhost": "localhost",
    "zone": "[fe80::1%25eth0]",
    "name": "victim.test",
    "capitals": "VICTIM.TEST",
    "name-dot": "victim.test.",
}

# Each is close to a name of ours and leads to none of ours: refused, whoever asks.
LOOKALIKES = {
    "domain-dot": f"sip:x@{DOMAIN}.",
    "below-ours": f"sip:x@{DOMAIN}.victim.test",
    "ends-like-ours": f"sip:x@victim{DOMAIN}",
    "subdomain": f"sip:x@victim.{DOMAIN}",
    "ours-as-user": f"sip:{DOMAIN}@{VICTIM}",
    "ours-as-user-escaped": f"sip:x%40{DOMAIN}@{VICTIM}",
    "ours-as-password": f"sip:x:{DOMAIN}@{VICTIM}",
    "two-ats": f"sip:x@{DOMAIN}@{VICTIM}",
    "two-ats-turned": f"sip:x@{VICTIM}@{DOMAIN}:x",
    "escaped-host": "sip:x@ex%61mple.test",
    "nul": f"sip:x@{DOMAIN}%00.victim.test",
    "semicolon-user": f"sip:x;@{VICTIM}",
    "question-user": f"sip:x?y@{VICTIM}",
    "hash": f"sip:x@{DOMAIN}#@{VICTIM}",
    "backslash": f"sip:x@{DOMAIN}\\@{VICTIM}",
    "slash": f"sip:x@{DOMAIN}/../{VICTIM}",
    "maddr": f"sip:x@{DOMAIN};maddr={VICTIM}",
    "maddr-capitals": f"sip:x@{DOMAIN};MADDR={VICTIM}",
    "maddr-name": f"sip:x@{DOMAIN};maddr=victim.test",
    "maddr-twice": f"sip:x@{DOMAIN};maddr={GATEWAY};maddr={VICTIM}",
    "maddr-without-user": f"sip:{DOMAIN};maddr={VICTIM}",
    "maddr-ours-host-not": f"sip:x@{VICTIM};maddr={GATEWAY}",
    "maddr-ours-host-not-by-name": f"sip:x@{VICTIM};maddr={FQDN}",
    "maddr-transport": f"sip:x@{DOMAIN};maddr={VICTIM};transport=tcp;ttl=255",
    "our-port-elsewhere": f"sip:x@{GATEWAY}:22",
    "our-address-6": f"sip:x@[{GATEWAY6}]:22",
    "pool-other-port": "sip:x@192.0.2.51:22",
    "pool-no-port": "sip:x@192.0.2.51",
    "pool-decimal": "sip:x@3221226035:5041",
    "pool-mapped": "sip:x@[::ffff:192.0.2.51]:5041",
    "headers": f"sip:x@{DOMAIN}?Route=%3Csip:{VICTIM};lr%3E",
    "tel": "tel:+12025550100",
    "tel-context": f"tel:100;phone-context={VICTIM}",
    "http": f"http://{VICTIM}/",
    "im": f"im:x@{VICTIM}",
    "urn": "urn:service:sos",
    "no-host": "sip:x@",
    "star": "*",
}

SHAPES = ("sip:x@{}", "sip:{}", "sips:x@{}", "sip:x@{}:5060;transport=tcp", "sip:x:y@{};maddr=" + GATEWAY)

FOREIGN = {
    **{f"{name}-{at}": shape.format(host) for name, host in ADDRESSES.items() for at, shape in enumerate(SHAPES)},
    **LOOKALIKES,
}

METHODS = ("INVITE", "MESSAGE", "REGISTER", "SUBSCRIBE", "OPTIONS", "BENOTIFY", "BYE", "REFER", "FOO")
