"""The command `provenance`: its sub-commands and its exit codes.

0 all went well · 1 a release FAILED, a disclosure does not open, or two configurations
differ · 2 the command makes no sense ·
3 INCOMPLETE · 4 something could not be read or written · 5 REFUSED · 130 interrupted
· 141 nobody reads the output any more.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from provenance.cli.output import shown
from provenance.errors import ProvenanceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = 2
ERROR = 4
INTERRUPTED = 130
BROKEN_PIPE = 141

COMMANDS = (
    "code",
    "config",
    "demo",
    "disclose",
    "env",
    "fingerprint",
    "import",
    "keygen",
    "release",
    "replay-order",
    "run",
    "show",
    "step",
    "tables",
    "verify",
    "withhold",
)
"""The sub-commands: each is the function of that name in the file of that name."""

_FUNCTIONS = {"import": "imports"}
"""Except for those whose name is a word of Python."""


class _Commands(click.Group):
    """Commands that load when they are asked for.

    Tables and signatures take longer to load than a small release to verify, and not
    every command needs them.
    """

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = _FUNCTIONS.get(cmd_name, cmd_name.replace("-", "_"))
        module = importlib.import_module(f"provenance.cli.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="training-provenance", prog_name="provenance")
def cli() -> None:
    """Record how a model came to be, and let strangers check it.

    Start with `provenance demo`. Recording itself is done from Python:
    `import provenance; run = provenance.start()`.
    """


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; it never raises on bad input."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets its number, not a crash.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(list(arguments), prog_name="provenance", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # click and rich exit with 1 when nobody reads the output any more; here, 1
        # says that a release FAILED.
        # What is still buffered has nowhere to go; do not trip over it on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except UsageError as error:
        click.echo(f"error: {shown(str(error))}", err=True)
        return USAGE
    except (ProvenanceError, OSError) as error:
        click.echo(f"error: {shown(str(error))}", err=True)
        return ERROR
    return code if isinstance(code, int) else 0
