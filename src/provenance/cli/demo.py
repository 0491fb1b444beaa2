"""`provenance demo`: a small model, its record, and what the record is good for.

It trains `example.py`, releases the result, verifies the release as a stranger would,
and then damages copies of it in four ways, each of which verification must notice. It
needs no network, and writes nothing outside the folder that it is given.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import frozen

import provenance
from provenance.bundle import parts
from provenance.cli import example, output, view
from provenance.cli.keygen import trust_entry
from provenance.cli.output import hint, shown, size
from provenance.errors import UsageError
from provenance.signing import keys
from provenance.tables import write
from provenance.tables.read import Reader
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.graph.build import Activity
    from provenance.verify import Report

UNNOTICED = 4
"""Exit code when damage went unnoticed: 1 would say that a release FAILED."""

TRUST = """\
# Whom I trust. This file is mine: nothing in a release can add to it.
format = "training-provenance-trust-1"

{entry}

[release]
signers = ["demo"]
lines = ["{line}"]
"""


@frozen
class Damage:
    """One way to damage a release.

    Attributes:
        name: the folder of the damaged copy.
        story: what somebody did, in a few words.
        do: does it to the folder of a release.
    """

    name: str
    story: str
    do: Callable[[Path], None]


@click.command()
@click.argument(
    "folder",
    metavar="[DIR]",
    default="provenance-demo",
    type=click.Path(path_type=Path),
)
def demo(folder: Path) -> int:
    """Train a small model, release it, verify it, and try to cheat.

    Everything is written to DIR (provenance-demo if not given), which must not exist
    or be empty. It takes a few seconds and no network.
    """
    _make(folder)
    place = shown(str(folder))
    _say(
        "Where does a model come from? A model card says so, and nobody can check it.",
        "This demo makes a model, records how, and lets a stranger check the record.",
        f"All of it happens in {place}; nothing leaves this machine.",
    )
    key, trust = _act_1_key(folder)
    trained = _act_2_train(folder, key)
    release = _act_3_release(folder, key, trained)
    report = _act_4_verify(release, trust)
    if report.verdict != "OK":
        hint("The release is not OK, and should be; the findings above say why.")
        return report.exit_code
    unnoticed = _act_5_damage(folder, release, trust)
    if unnoticed:
        hint(f"Not noticed: {', '.join(unnoticed)}. This must not happen; report it.")
        return UNNOTICED
    _act(6, "What next")
    trusted = f"--trust {_argument(trust)}"
    flipped = _argument(folder / "damaged" / DAMAGES[0].name)
    _say(
        f"  provenance show {_argument(release)}",
        f"  provenance verify {_argument(release)} {trusted}",
        f"  provenance verify {flipped} {trusted}",
        f"The training script is {shown(example.__file__)}.",
        "The tutorial, docs/tutorial.md, does the same by hand with a script of yours.",
    )
    return 0


def _make(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        message = f"{str(folder)!r} is not empty; name a folder that is not there yet"
        raise UsageError(message)
    if folder.exists() and not folder.is_dir():
        message = f"{str(folder)!r} is a file; name a folder that is not there yet"
        raise UsageError(message)
    folder.mkdir(parents=True, exist_ok=True)


def _act_1_key(folder: Path) -> tuple[Path, Path]:
    _act(1, "A key, to sign with")
    key, trust = folder / "key.pem", folder / "trust.toml"
    signer = keys.generate()
    keys.write_private(signer, key)
    entry = trust_entry("demo", signer.public.pem)
    trust.write_text(TRUST.format(entry=entry, line=example.NAME), encoding="utf-8")
    trust.chmod(0o644)  # whatever the umask: nobody else may decide whom I trust
    _say(
        "key.pem      the private key; whoever trains keeps it secret",
        "trust.toml   the public key, in the list of whoever checks: whom to trust",
    )
    return key, trust


def _act_2_train(folder: Path, key: Path) -> example.Trained:
    _act(2, "Train a model, and record how")
    trained = example.train(folder, key)
    model = trained.final / "model.safetensors"
    _say(
        "data/        the help texts of this Python; cleaned, and one topic in ten",
        "             held out as a test",
        f"out/         4 checkpoints; the last one, the model, has {_size(model)} and",
        f"             needs {trained.bits_per_char:.2f} bits for a character of the "
        "held-out text (8 without a model)",
        "store/       the record, written while this happened: fingerprints of data,",
        "             code, settings, installed packages and weights, and which was",
        "             made from which; chained, counted and signed",
    )
    return trained


def _act_3_release(folder: Path, key: Path, trained: example.Trained) -> Path:
    _act(3, "Release the model together with its record")
    release = folder / "release"
    done = provenance.release(
        folder / "store",
        trained.run,
        payload=trained.final,
        to=release,
        key=key,
        code=Path(example.__file__).parent,
    )
    names = ", ".join([*done.explained, *done.unexplained])
    _say(f"release/     {names}", "             provenance/ holds the record")
    _say("", "How this model came to be, as the record in the release tells it:")
    _say("(each step also names the exact code and the installed packages)")
    for activity in view.read(str(release)).graph.activities:
        _tell(activity)
    return release


def _act_4_verify(release: Path, trust: Path) -> Report:
    _act(4, "Verify it, as a stranger would")
    report = check_bundle(release, trust=trust)
    _verdict(report)
    for finding in report.findings:
        _say(f"  {finding.code}  {shown(finding.sentence)}")
    _say(
        "",
        "So every byte is as signed, by a key in trust.toml, and the record is whole.",
        "It does not say that the signer told the truth: only who said it, and that",
        "nobody changed it since.",
    )
    return report


def _act_5_damage(folder: Path, release: Path, trust: Path) -> list[str]:
    """Return the names of the copies whose damage was not noticed: none, that is."""
    _act(5, "Damage copies of it, and verify those")
    unnoticed = []
    for damage in DAMAGES:
        copy = folder / "damaged" / damage.name
        shutil.copytree(release, copy)
        damage.do(copy)
        report = check_bundle(copy, trust=trust)
        _say("", f"damaged/{damage.name}: {damage.story}")
        _verdict(report)
        for finding in report.findings:
            if finding.outcome in ("fail", "refuse", "error", "incomplete"):
                _say(f"  {finding.code}  {shown(finding.sentence)}")
        if report.verdict == "OK":
            unnoticed.append(damage.name)
    return unnoticed


# The damages.


def _flip_a_bit(release: Path) -> None:
    weights = release / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)


def _add_a_file(release: Path) -> None:
    (release / "modeling.py").write_text("print('I run on your machine')\n")


def _drop_a_statement(release: Path) -> None:
    """Write the last segment of the ledger again, without its last row."""
    segment = max((release / parts.FOLDER).glob("runs/*/*/rows-*.parquet"))
    with Reader() as tables:
        rows = list(tables.segment(segment.read_bytes()))
    segment.write_bytes(write.segment(rows[:-1]))


def _swap_the_config(release: Path) -> None:
    config = release / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"order": 6', '"order": 7'), encoding="utf-8")


DAMAGES = (
    Damage("flipped-bit", "one bit of the weights differs", _flip_a_bit),
    Damage("added-file", "a file more, which nobody signed", _add_a_file),
    Damage("dropped-statement", "the record ends earlier", _drop_a_statement),
    Damage("swapped-config", "the settings claim to be others", _swap_the_config),
)


# Saying it.


def _act(number: int, title: str) -> None:
    output.console().print(f"\n{number}. {title}", style="bold")


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line)


def _tell(activity: Activity) -> None:
    """Say what one step did, from what its statements say."""
    parts = activity.parts
    # What every step uses goes without saying: the code and what is installed.
    used = {
        use.digest: f"{use.name} ({use.role})"
        for use in (use for part in parts for use in part.uses)
        if use.role not in ("code", "environment")
    }
    made = [product.name for part in parts for product in part.products]
    step = activity.step
    _say(f"  {step.kind}: {shown(step.name)}")
    _say(f"    from  {shown(', '.join(used.values()))}")
    _say(f"    made  {shown(', '.join(made))}")


def _verdict(report: Report) -> None:
    style = "bold green" if report.verdict == "OK" else "bold red"
    output.console().print(f"Verdict: {report.verdict}", style=style)


def _argument(path: Path) -> str:
    """Return a path as one argument of a command to copy."""
    text = shown(str(path))
    return f'"{text}"' if " " in text else text


def _size(file: Path) -> str:
    return size(file.stat().st_size)
