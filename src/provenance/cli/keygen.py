"""`provenance keygen`: make a signing key."""

from __future__ import annotations

import os
from pathlib import Path

import click

from provenance.cli.output import hint
from provenance.errors import UsageError
from provenance.signing import keys


@click.command()
@click.option(
    "--type",
    "kind",
    type=click.Choice(["p256", "ed25519"]),
    default="p256",
    show_default=True,
    help="Kind of key; p256 is what most other tools accept.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the private key; your configuration folder if not given.",
)
def keygen(kind: str, out: Path | None) -> None:
    """Make a signing key, readable by you alone.

    Prints the public key as an entry for a trust policy: give that to the people who
    will check your releases, on another way than with the releases themselves.
    """
    place = out or keys.default_key_path(os.environ)
    if place is None:
        message = "there is no home folder for the key; say where with --out FILE"
        raise UsageError(message)
    signer = keys.generate(kind)
    keys.write_private(signer, place)
    hint(f"private key: {place}  (keep it secret; it is not encrypted)")
    hint(f"key id:      {signer.public.id}")
    hint("public key, as an entry for trust.toml:")
    click.echo(trust_entry("me", signer.public.pem))


def trust_entry(name: str, pem: str) -> str:
    """Return the lines of a trust policy that name a key."""
    return f'[keys.{name}]\npublic = """\n{pem.strip()}\n"""'
