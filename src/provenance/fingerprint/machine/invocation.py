"""How a program was started: arguments, folder, and the variables that change results.

>>> here = Path("/home/me/project")
>>> arguments = ["train.py", "--data=/home/me/corpus.txt"]
>>> invocation(arguments, cwd=here, top=here, environ={})["argv"]
['train.py', '--data=…/corpus.txt']

Of paths, what leads to the project names people and machines, so it is left out: what
lies in the project is told relative to it, of anything else only its last part. Of
the variables those are told that libraries compute differently by; all others are
nobody's business, and `MASTER_ADDR` is a machine's name.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provenance.encoding import secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provenance.model.values import Value

MAX_ARGUMENTS = 1_000
MAX_VARIABLES = 200
MAX_TEXT = 4_096
MAX_ALL = 200_000
CUT = "…"
"""Stands for what was left out of a text."""

VARIABLES = re.compile(
    # Threads, and the libraries that share work among them.
    r"OMP_[A-Z_]+|KMP_[A-Z_]+|GOMP_[A-Z_]+|MKL_[A-Z_]+|OPENBLAS_[A-Z_]+|GOTO_NUM_THREADS"
    r"|BLIS_NUM_THREADS|VECLIB_MAXIMUM_THREADS|NUMEXPR_[A-Z_]+|RAYON_NUM_THREADS"
    r"|POLARS_MAX_THREADS|NUMBA_[A-Z_]+|ONEDNN_[A-Z_]+|DNNL_[A-Z_]+|ATEN_[A-Z_]+"
    r"|TOKENIZERS_PARALLELISM"
    # Devices and their arithmetic.
    r"|CUDA_(?:VISIBLE_DEVICES|DEVICE_ORDER|LAUNCH_BLOCKING|DEVICE_MAX_CONNECTIONS"
    r"|MODULE_LOADING|CACHE_DISABLE|FORCE_PTX_JIT|DISABLE_PTX_JIT)"
    r"|CUBLAS_WORKSPACE_CONFIG|CUBLASLT_[A-Z_]+|CUDNN_[A-Z0-9_]+|NVIDIA_TF32_OVERRIDE"
    r"|NVIDIA_VISIBLE_DEVICES|NVTE_[A-Z0-9_]+|HIP_VISIBLE_DEVICES|ROCR_VISIBLE_DEVICES"
    r"|GPU_DEVICE_ORDINAL|HSA_OVERRIDE_GFX_VERSION|MIOPEN_[A-Z0-9_]+|HIPBLASLT_[A-Z_]+"
    r"|ROCBLAS_[A-Z0-9_]+|TPU_VISIBLE_(?:CHIPS|DEVICES)|ZE_AFFINITY_MASK"
    # Frameworks.
    r"|TORCH_[A-Z0-9_]+|TORCHINDUCTOR_[A-Z0-9_]+|TORCHDYNAMO_[A-Z0-9_]+|PYTORCH_[A-Z0-9_]+"
    r"|TRITON_[A-Z0-9_]+|TF_[A-Z0-9_]+|XLA_[A-Z0-9_]+|JAX_[A-Z0-9_]+|KERAS_BACKEND"
    r"|LIBTPU_INIT_ARGS|FLASH_ATTENTION_[A-Z0-9_]+|XFORMERS_[A-Z0-9_]+|BNB_[A-Z0-9_]+"
    r"|ACCELERATE_[A-Z0-9_]+|PL_GLOBAL_SEED|PL_SEED_WORKERS"
    # What may come from a network or a cache.
    r"|(?:HF_HUB|HF_DATASETS|HF_EVALUATE|TRANSFORMERS|DIFFUSERS)_OFFLINE"
    r"|HF_DATASETS_IN_MEMORY_MAX_SIZE|HF_HUB_DISABLE_[A-Z_]+|HF_HUB_ENABLE_[A-Z_]+"
    r"|WANDB_MODE"
    # Which part of a distributed run this is, and of how many.
    r"|(?:LOCAL_|GROUP_|NODE_|ROLE_)?RANK|(?:LOCAL_|GROUP_|ROLE_)?WORLD_SIZE"
    r"|OMPI_COMM_WORLD_(?:LOCAL_|NODE_)?(?:RANK|SIZE)|PMI_(?:RANK|SIZE)|PMIX_RANK"
    r"|MPI_LOCAL(?:RANKID|NRANKS)|NCCL_[A-Z0-9_]+|RCCL_[A-Z0-9_]+|GLOO_[A-Z0-9_]+"
    r"|SLURM_(?:NNODES|NTASKS|NPROCS|NTASKS_PER_NODE|TASKS_PER_NODE|CPUS_PER_TASK"
    r"|CPUS_ON_NODE|CPUS_PER_GPU|GPUS|GPUS_PER_NODE|GPUS_PER_TASK|GPUS_ON_NODE|PROCID"
    r"|LOCALID|NODEID|JOB_NUM_NODES|RESTART_COUNT|ARRAY_TASK_ID|ARRAY_TASK_COUNT)"
    # The interpreter.
    r"|PYTHON(?:HASHSEED|OPTIMIZE|UTF8|IOENCODING|MALLOC|NOUSERSITE|SAFEPATH|DEVMODE"
    r"|INTMAXSTRDIGITS|_GIL|_JIT|_CPU_COUNT|COERCECLOCALE)"
)
"""The names of the variables that are told, each in full."""

PRIVATE = re.compile(
    r"(?:^|_)(?:PATH|HOME|DIR|DIRS|DIRECTORY|FOLDER|ROOT|FILE|FILES|PREFIX|TMPDIR"
    r"|ADDR|ADDRESS|HOST|HOSTS|HOSTID|HOSTNAME|HOSTFILE|NODELIST|ENDPOINT|URL|URI|PROXY"
    r"|IFNAME|INTERFACE|SOCKET|HCA|COMM_ID|SERVICE|SERVER|COORDINATOR|USER|USERNAME"
    r"|EMAIL|TOKEN|KEY|SECRET|PASS|PASSWORD|CREDENTIAL|CREDENTIALS|AUTH|ACCOUNT)(?:_|$)"
    r"|^TF_CONFIG$"  # names the machines of a cluster
)
"""Names that are not told even so: places, machines, people and secrets."""

_NAMES_SOMEBODY = re.compile(
    r"--?(?:(?:master|local|coordinator)[-_]addr(?:ess)?|rdzv[-_](?:endpoint|conf|id)"
    r"|host[-_]?(?:s|names?|file)?|node[-_]?list|user(?:[-_]?name)?|e?mail)"
)
"""Options whose value is a machine or a person."""

_DEVICE = re.compile(r"\b(GPU|MIG)-[0-9a-fA-F][0-9a-fA-F/-]{6,}")
"""One device among all there are in the world, where a number would do."""

_ABSOLUTE = re.compile(r"/|~[\w.-]+(?:/|$)|[A-Za-z]:[\\/]|\\\\")
_GLUED = re.compile(
    r"-[A-Za-z](?=/|[A-Za-z]:[\\/])|[^=\s\"']+=(?=/|~\w|[A-Za-z]:[\\/]|\\\\)"
)
"""An option and the beginning of a path, which then goes on to the end."""
_PART = r"""[^\s"'=,;:|&<>()\[\]{}]"""
_INSIDE = re.compile(
    # Where a path begins: not after a word, and not at the host of a URL …
    r"(?:(?<![\w./~:])/+|(?<=:)/(?!/)|(?<=://)/(?!/)|(?<=:///)/(?!/)"
    r"|(?<![\w./~])~[\w.-]+/|(?<![A-Za-z0-9])[A-Za-z]:[\\/]|(?<![\w\\])\\\\(?=\w))"
    # … and where it ends. A space may be part of a folder's name.
    rf"{_PART}*(?: (?!-)(?:(?![/\\]){_PART})+[/\\]{_PART}*)*"
)
_SOMEBODYS_HOME = re.compile(r"(?:/home|/Users|[A-Za-z]:[\\/]Users)[\\/][^\\/]+|/root")


def invocation(
    argv: Sequence[str],
    *,
    cwd: Path,
    top: Path | None,
    environ: Mapping[str, str],
) -> dict[str, Value]:
    """Return how this program was started, as a value that can be spelled.

    Args:
        argv: the program and its arguments, as in `sys.argv`.
        cwd: the folder it was started in.
        top: top folder of the repository; without one, paths are told from `cwd`.
        environ: all variables.

    Returns:
        `argv`, `directory`, `environ` and `interpreter`. At most 1,000 arguments and
        200 variables are told, of each 4,096 characters, and of either 200,000 bytes;
        `left_out` counts the others and stands there only then.
    """
    names = _Names(cwd=cwd, top=top or cwd, environ=environ)
    arguments = _arguments(argv[:MAX_ARGUMENTS], names)
    variables = [
        (name, names.cut(environ[name]))
        for name in sorted(environ)
        if VARIABLES.fullmatch(name) and not PRIVATE.search(name)
    ]
    told = _fitting(arguments, MAX_ARGUMENTS)
    set_here = _fitting([text for _, text in variables], MAX_VARIABLES)
    left_out: dict[str, Value] = {
        what: count
        for what, count in (
            ("arguments", len(argv) - told),
            ("variables", len(variables) - set_here),
        )
        if count
    }
    return {
        "argv": arguments[:told],
        "directory": names.path(str(cwd)),
        "environ": dict(variables[:set_here]),
        "interpreter": _interpreter(),
        **({"left_out": left_out} if left_out else {}),
    }


def _fitting(texts: Sequence[str], most: int) -> int:
    """Return how many of the texts are told: so many, and together not too long."""
    room = MAX_ALL
    for number, text in enumerate(texts[:most]):
        room -= len(text.encode())
        if room < 0:
            return number
    return min(len(texts), most)


def _interpreter() -> dict[str, Value]:
    """Return the switches of this interpreter that change what a program does."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return {
        "optimize": sys.flags.optimize,
        "dev_mode": sys.flags.dev_mode,
        "utf8_mode": bool(sys.flags.utf8_mode),
        "isolated": bool(sys.flags.isolated),
        "gil": bool(ask()) if ask else True,
    }


def _arguments(argv: Sequence[str], names: _Names) -> list[str]:
    found: list[str] = []
    for position, argument in enumerate(argv):
        option, mark, _ = argument.partition("=")
        if position == 0:
            found.append(names.script(argument))
        elif mark and _NAMES_SOMEBODY.fullmatch(option):
            found.append(f"{option}={CUT}")
        elif _NAMES_SOMEBODY.fullmatch(argv[position - 1]):
            found.append(CUT)
        else:
            found.append(names.cut(argument))
    return found


class _Names:
    """Takes out of texts what names people and machines."""

    def __init__(self, *, cwd: Path, top: Path, environ: Mapping[str, str]) -> None:
        self._cwd = cwd
        # A repository may be reached through a link, and then it has two names.
        self._tops = (top, Path(os.path.realpath(top)))
        homes = {environ.get(name) for name in ("HOME", "USERPROFILE")}
        self._homes = {os.path.normpath(home) for home in homes if home}
        self._users = {environ.get(name) for name in ("USER", "LOGNAME", "USERNAME")}

    def script(self, argument: str) -> str:
        """Return where a program lies; `-c` and the like are no programs."""
        here = self._cwd / argument
        # Unlike `Path.is_file`, this raises nothing where it may not look.
        is_file = bool(argument) and os.path.isfile(here)  # noqa: PTH113
        return self.cut(str(here) if is_file else argument)

    def cut(self, text: str) -> str:
        """Return a text of any kind with all absolute paths in it shortened."""
        text = _DEVICE.sub(rf"\1-{CUT}", _readable(text))
        if len(text) > MAX_TEXT:
            # Nobody would know the secret of which only the first part is left.
            text, _ = secrets.cut(text)
        glued = _GLUED.match(text)
        lead = glued[0] if glued else ""
        rest = text[len(lead) :]
        if _ABSOLUTE.match(rest):
            parts = rest.split(os.pathsep)
            # A list of paths, unless one of them holds the separator in its name.
            if not all(_ABSOLUTE.match(part) for part in parts):
                parts = [rest]
            return _short(lead + os.pathsep.join(map(self.path, parts)))
        return _short(_INSIDE.sub(lambda found: self.path(found[0]), text))

    def path(self, text: str) -> str:
        """Return an absolute path relative to the project, or its last part."""
        whole = os.path.normpath(text) if text else text
        for top in self._tops:
            if Path(whole).is_relative_to(top):
                return Path(whole).relative_to(top).as_posix()
        if whole in self._homes or _SOMEBODYS_HOME.fullmatch(whole):
            return "~"
        last = re.split(r"[/\\]", whole.rstrip("/\\"))[-1]
        if last in self._users or not last:
            return CUT
        return f"{CUT}/{last}"


def _readable(text: str) -> str:
    """Replace what is no text: arguments and variables may hold any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + CUT
