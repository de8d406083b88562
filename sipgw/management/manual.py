"""What `--help` says of a command below its options: signals, exit status, files, environment, examples.

A test reads each example with the program's own parser.
"""

import click

_CONFIG = "sipgw.toml               the configuration, where --config names it; config/sipgw.toml has every key"
_STORE = "STORE                    store.url: endpoints, registrations, states of pools"
_RUNNING = "STORE-running            what a gateway that runs tells of itself; gone when it is"
_AUDIT = "STORE-audit.jsonl        every change: when, who, what, before, after"
_TOKEN = "admin.token_file         its first token is shown to the gateway, where the key names one"
_LINE = "2   the command line cannot be read"
_STOPS = "SIGTERM, SIGINT   end"
_DATA = "FILE of --data           rooms, members and history: SQLite"
_PASSWORD = "SIPGW_PASSWORD           of --login, without --password-file"

Sections = dict[str, tuple[str, ...]]
_MANUAL: dict[str, Sections] = {
    "serve": {
        "Signals": (
            "SIGTERM, SIGINT   take nothing new, finish what waits for an answer (5 s), end",
            "SIGHUP            read the configuration again; calls go on",
            "SIGUSR1           open the log file anew",
        ),
        "Exit status": (
            "0   it was told to end, and has",
            "1   it cannot start; the log says why, each time with the key and what would be right",
            _LINE,
        ),
        "Files": (_CONFIG, _STORE, _AUDIT, _RUNNING, "auth.users               who may sign in, where that is a file"),
        "Environment": (
            "NOTIFY_SOCKET            systemd's: it is told of the start, of reloads and of the end",
            "WATCHDOG_USEC            systemd's: how often it wants to hear that the event loop turns",
        ),
        "Examples": (
            "sipgw serve                                        # built-in values, for a first look",
            "sipgw serve --config /etc/sipgw/sipgw.toml",
            "sipgw check --config /etc/sipgw/sipgw.toml         # before it",
        ),
    },
    "check": {
        "Exit status": (
            "0   nothing stands in the way; a note may be meant so",
            "1   something does: the lines that begin with FAIL, each with its remedy",
            _LINE,
        ),
        "Files": (_CONFIG, _STORE, _RUNNING),
        "Examples": (
            "sipgw check --config /etc/sipgw/sipgw.toml",
            "sipgw check                                        # of the built-in values",
        ),
    },
    "explain": {
        "Exit status": (
            "0   it would be sent on to somebody who works as far as is known, or answered here",
            "1   it would be refused or dropped, or nothing works that it would be sent to",
            _LINE,
        ),
        "Files": (_CONFIG, _STORE, _RUNNING, _TOKEN),
        "Examples": (
            "sipgw explain INVITE sip:ocschat@contoso.com --from sip:alice@contoso.com",
            "sipgw explain MESSAGE sip:alice@contoso.com        # whether, and where, she is reached",
            "sipgw explain REGISTER sip:contoso.com --from sip:alice@contoso.com --json",
        ),
    },
    "endpoint": {
        "Exit status": ("0   done", "1   not done; one line says why, and what would be right", _LINE),
        "Files": (_CONFIG, _STORE, _AUDIT, _TOKEN),
        "Examples": (
            "sipgw endpoint new --sip-address sip:ocschat@contoso.com --pool-fqdn pcpool.contoso.com",
            "sipgw endpoint get",
            "sipgw endpoint get --json sip:ocschat@contoso.com",
            "sipgw endpoint remove sip:ocschat@contoso.com",
        ),
    },
    "cmdlet": {
        "Exit status": (
            "0   every line was carried out",
            "1   one was not; PowerShell's words say why",
            _LINE,
        ),
        "Files": (_CONFIG, _STORE, _AUDIT, _TOKEN),
        "Environment": (
            "SIPGW_SENDER_PASSWORD    of -SenderCredential of Test-CsPersistentChatMessage",
            "SIPGW_RECEIVER_PASSWORD  of -ReceiverCredential",
        ),
        "Examples": (
            "sipgw cmdlet 'Get-CsPersistentChatEndpoint'",
            "sipgw cmdlet 'Remove-CsPersistentChatEndpoint sip:ocschat@contoso.com -WhatIf'",
            "sipgw cmdlet --file runbook.ps1 --what-if",
            "sipgw cmdlet --list",
        ),
    },
    "pool": {
        "Signals": (_STOPS,),
        "Exit status": (
            "0   it was told to end, and has; or the command is done",
            "1   it cannot listen, or the data cannot be read or written; compare: something is missing",
            _LINE,
        ),
        "Files": (_DATA, "FILE of --rooms          rooms to begin with: TOML, as config/rooms.toml"),
        "Examples": (
            "sipgw pool --room Lobby --room Support",
            "sipgw pool --listen tcp:127.0.0.1:5041 --data pcpool.db",
            "sipgw pool export --data legacy.db rooms.zip",
            "sipgw pool import --data pcpool.db rooms.zip",
        ),
    },
    "lookup": {
        "Signals": ("SIGTERM, SIGINT   sign out, end",),
        "Exit status": (
            "0   it was told to end, and has",
            "1   the rooms or the data cannot be read, or the gateway cannot be spoken to from here",
            _LINE,
        ),
        "Files": (_DATA,),
        "Environment": (_PASSWORD,),
        "Examples": (
            "sipgw lookup --register sip:ocschat@contoso.com --via 127.0.0.1:5060 --services 3 --room Lobby",
            "sipgw lookup --register sip:ocschat@contoso.com --via 127.0.0.1:5060 --data legacy.db",
        ),
    },
    "client": {
        "Signals": ("SIGINT            end",),
        "Exit status": (
            "0   all that was asked for was done and heard",
            "1   it was not: one line says at which step and why",
            _LINE,
        ),
        "Environment": (_PASSWORD,),
        "Examples": (
            "sipgw client --user sip:alice@contoso.com --server tcp:127.0.0.1:5060 --rooms",
            "sipgw client --user sip:alice@contoso.com --server tcp:127.0.0.1:5060 --join Lobby --say hello",
            "sipgw client --user sip:bob@contoso.com --server tcp:127.0.0.1:5060 --join Lobby --expect hello",
        ),
    },
    "trace": {
        "Signals": ("SIGINT            end of --follow",),
        "Exit status": (
            "0   also when there is nothing to show, which is said on standard error",
            "1   no gateway runs on this store, or it cannot be asked",
            _LINE,
        ),
        "Files": (_CONFIG, _RUNNING, _TOKEN),
        "Examples": (
            "sipgw trace --failed                               # what went wrong lately, and what to do",
            "sipgw trace --user alice@contoso.com --follow      # watch a user try again",
            "sipgw trace --call-id 4b89f5568331 --messages      # all there is of one call",
            "sipgw trace --since 1h --pcap calls.pcapng         # for Wireshark",
            "sipgw trace --list --last 50 --since 1h",
            "sipgw trace --probes --failed                      # the gateway's own OPTIONS to pools as well",
        ),
    },
    "cutover": {
        "Exit status": ("0   all steps are done", "1   one stands in the way, and is told with its remedy", _LINE),
        "Files": (
            _CONFIG,
            _STORE,
            "STORE-cutover.json       how far it is, for the next run of the same line and for --rollback",
            _AUDIT,
            _TOKEN,
        ),
        "Environment": (
            "SIPGW_SENDER_PASSWORD    of --sender-account",
            "SIPGW_RECEIVER_PASSWORD  of --receiver-account",
        ),
        "Examples": (
            "sipgw cutover --sip-address sip:ocschat@contoso.com --pool-fqdn pcpool.contoso.com --dry-run",
            "sipgw cutover --sip-address sip:ocschat@contoso.com --pool-fqdn pcpool.contoso.com",
            "sipgw cutover --sip-address sip:ocschat@contoso.com --rollback",
        ),
    },
    "backup": {
        "Exit status": ("0   FILE is whole", "1   there is none, or it was there already", _LINE),
        "Files": (_CONFIG, _STORE),
        "Examples": (
            "sipgw backup --config /etc/sipgw/sipgw.toml /var/backups/sipgw.db",
            "sipgw backup --replace sipgw-copy.db",
        ),
    },
    "restore": {
        "Exit status": ("0   it is in the store", "1   it is not, and the store is as it was", _LINE),
        "Files": (_CONFIG, _STORE, "STORE-before-restore     the store as it was"),
        "Examples": ("sipgw restore --config /etc/sipgw/sipgw.toml sipgw-copy.db",),
    },
}


def sections(name: str) -> Sections:
    """Of a command, {} for one that needs none."""
    return _MANUAL.get(name, {})


def write_manual(name: str, formatter: click.HelpFormatter) -> None:
    """As the last part of the help of a command, not wrapped: lines are to be copied."""
    for title, lines in sections(name).items():
        with formatter.section(title):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
