"""`sipgw backup FILE` and `sipgw restore FILE`: the store, also while a gateway runs on it."""

from pathlib import Path

import click

from sipgw.config import load_config
from sipgw.management.parameters import EXISTING_FILE, FILE, config_option
from sipgw.server.audit import audited, command_line_user
from sipgw.server.running import read_running
from sipgw.server.store_backup import back_up, put_back


@click.command()
@click.argument("file", type=FILE)
@click.option("--replace", is_flag=True, help="Also if FILE is there already.")
@config_option
def backup(file: Path, replace: bool, config_path: Path | None) -> None:
    """Copy the store into FILE: endpoints, states of pools, registrations, and the key of Record-Route tokens.

    It is one file, whole or not at all, and for its owner's eyes only.
    """
    copied = back_up(load_config(config_path).store.path, file, replace)
    click.echo(f"{file}: {copied}")


@click.command()
@click.argument("file", type=EXISTING_FILE)
@config_option
def restore(file: Path, config_path: Path | None) -> None:
    """Put what `sipgw backup` has copied into FILE back into the store.

    While a gateway runs, its registrations stay, as it knows better who is signed in; endpoints and states of pools are
    those of FILE within a second. The store as it was is kept beside it.
    """
    store = load_config(config_path).store.path
    with audited(store, command_line_user(), "store.restore", str(file)) as entry:
        restored = put_back(file, store, read_running(store) is not None)
        entry.after = restored.text
    click.echo(f"{store}: {restored.text}")
    if restored.kept is not None:
        click.echo(f"as it was: {restored.kept}")
