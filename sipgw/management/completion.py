"""`sipgw completion bash|zsh|fish`."""

import click
from click.shell_completion import get_completion_class

VARIABLE = "_SIPGW_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write what makes SHELL complete the words of this program.

    \b
    bash: sipgw completion bash > /etc/bash_completion.d/sipgw
    zsh:  sipgw completion zsh > "${fpath[1]}/_sipgw"
    fish: sipgw completion fish > ~/.config/fish/completions/sipgw.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "sipgw", VARIABLE).source())
