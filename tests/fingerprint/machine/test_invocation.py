"""The invocation: what was asked for, and not by whom or where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint.machine.invocation import (
    MAX_ALL,
    MAX_ARGUMENTS,
    MAX_TEXT,
    MAX_VARIABLES,
    invocation,
)
from provenance.model import values

TOP = Path("/home/al/project")
PRIVATE = {"HOME": "/home/al", "USER": "al"}

posix = pytest.mark.skipif(os.name == "nt", reason="paths of POSIX systems")


def asked(
    *arguments: str,
    cwd: Path = TOP,
    top: Path | None = TOP,
    environ: dict[str, str] | None = None,
) -> dict[str, object]:
    variables = PRIVATE if environ is None else environ
    found = invocation(["train.py", *arguments], cwd=cwd, top=top, environ=variables)
    assert values.to(values.of(found)) == found
    return dict(found)


def argument(text: str) -> object:
    argv = asked(text)["argv"]
    assert isinstance(argv, list)
    return argv[1]


def variables(**environ: str) -> object:
    return asked(environ=environ)["environ"]


@posix
class TestArguments:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("/home/al/project/data/x.txt", "data/x.txt"),
            ("--data=/home/al/project/x", "--data=x"),
            ("hydra.run.dir=/home/al/project/out", "hydra.run.dir=out"),
            ("/home/al/project", "."),
            ("/home/al/project/../other/x", "…/x"),
            ("/home/al/other/x", "…/x"),
            ("-I/home/al/include", "-I…/include"),
            ("@/home/al/arguments", "@…/arguments"),
            ("/a/b:/c/d", "…/b:…/d"),
            ("a=1,b=/home/al/q", "a=1,b=…/q"),
            ("data:[/home/al/c,/home/al/d]", "data:[…/c,…/d]"),
            ('{"p": "/home/al/q"}', '{"p": "…/q"}'),
            ("cp /home/al/b /home/al/d", "cp …/b …/d"),
            ("in /home/Al Smith/z", "in …/z"),
            ("/home/Al Smith/x y", "…/x y"),
            ("file:///home/al/x", "file://…/x"),
            ("sqlite:////home/al/db", "sqlite:///…/db"),
            (",//home/al/z", ",…/z"),
            ("C:\\Users\\al\\My Files\\x.txt", "…/x.txt"),
            ("--p=C:\\Users\\al\\x", "--p=…/x"),
            ("\\\\server\\al\\x", "…/x"),
            ("in C:/Users/al/x", "in …/x"),
        ],
    )
    def test_absolute_paths_are_shortened(self, text: str, told: str) -> None:
        assert argument(text) == told

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("/home/al", "~"),
            ("/home/bob", "~"),
            ("/root", "~"),
            ("C:\\Users\\bob", "~"),
            ("/scratch/al", "…"),
            ("~bob/x", "…/x"),
            ("in ~bob/x", "in …/x"),
            ("/", "…"),
        ],
    )
    def test_a_home_does_not_tell_whose(self, text: str, told: str) -> None:
        assert argument(text) == told

    @pytest.mark.parametrize(
        "text",
        [
            *("--lr=3e-4", "-c", "", "1/2", "a/b", "./a", "../a", "~/x", "HEAD~1/x"),
            *("https://example.org/a/b", "s3://bucket/key", "host:80", "a:b", "x=a/b"),
        ],
    )
    def test_everything_else_stays_as_it_is(self, text: str) -> None:
        assert argument(text) == text

    def test_machines_and_people_are_not_told(self) -> None:
        argv = ("--master_addr", "node7", "--rdzv-endpoint=node7:1", "--user", "al")
        assert asked(*argv, "--users=2")["argv"] == [
            *("train.py", "--master_addr", "…", "--rdzv-endpoint=…", "--user", "…"),
            "--users=2",
        ]

    def test_secrets_keep_their_place_behind_their_option(self) -> None:
        """Whoever looks for secrets later recognises them by what precedes them."""
        assert asked("--password", "x")["argv"] == ["train.py", "--password", "x"]

    def test_bytes_that_are_no_text_are_spelled(self) -> None:
        assert argument("caf\udce9") == "caf\\udce9"

    @given(st.text(alphabet="/\\:=~ '\".,-aC1%é\udce9", max_size=60))
    def test_whatever_it_is_it_is_told(self, text: str) -> None:
        assert isinstance(argument(text), str)

    @given(st.lists(st.sampled_from(["--x=", "a:", "[", " ", "file://", "@", ""])))
    def test_a_private_folder_never_comes_through(self, before: list[str]) -> None:
        assert "private" not in str(argument("".join(before) + "/data/private/x"))


@posix
class TestScript:
    def test_it_is_told_from_the_top_of_the_repository(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/train.py").touch()
        found = invocation(
            ["./train.py"], cwd=tmp_path / "sub", top=tmp_path, environ={}
        )
        assert (found["argv"], found["directory"]) == (["sub/train.py"], "sub")

    def test_a_repository_has_two_names_when_a_link_leads_there(
        self, tmp_path: Path
    ) -> None:
        real = tmp_path.resolve() / "real"
        real.mkdir()
        (tmp_path / "link").symlink_to(real)
        found = invocation(
            [str(real / "a.py")],
            cwd=tmp_path / "link",
            top=tmp_path / "link",
            environ={},
        )
        assert (found["argv"], found["directory"]) == (["a.py"], ".")

    def test_without_a_repository_it_is_told_from_the_folder(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "train.py").touch()
        argv = ["train.py", str(tmp_path / "x")]
        found = invocation(argv, cwd=tmp_path, top=None, environ={})
        assert (found["argv"], found["directory"]) == (["train.py", "x"], ".")

    def test_a_folder_outside_of_the_repository_has_its_last_name(self) -> None:
        assert asked(cwd=Path("/data/al/runs"))["directory"] == "…/runs"

    def test_programs_elsewhere_have_their_name(self) -> None:
        argv = ["/venv/bin/torchrun"]
        found = invocation(argv, cwd=TOP, top=TOP, environ={})
        assert found["argv"] == ["…/torchrun"]

    @pytest.mark.parametrize("argv", [[], [""], ["-c"], ["-m"]])
    def test_there_may_be_no_program(self, argv: list[str]) -> None:
        found = invocation(argv, cwd=TOP, top=TOP, environ={})
        assert found["argv"] == argv


class TestVariables:
    @pytest.mark.parametrize(
        "name",
        [
            *("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS"),
            *("MKL_CBWR", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "PYTHON_GIL"),
            *("TOKENIZERS_PARALLELISM", "TORCH_CUDNN_V8_API_DISABLED", "NCCL_ALGO"),
            *("TF_DETERMINISTIC_OPS", "XLA_FLAGS", "JAX_ENABLE_X64", "HF_HUB_OFFLINE"),
            *("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_NNODES", "CUDA_CACHE_DISABLE"),
            *(
                "NVIDIA_TF32_OVERRIDE",
                "PYTORCH_CUDA_ALLOC_CONF",
                "OMPI_COMM_WORLD_SIZE",
            ),
        ],
    )
    def test_what_changes_results_is_told(self, name: str) -> None:
        assert variables(**{name: "1"}) == {name: "1"}

    @pytest.mark.parametrize(
        "name",
        [
            *("MASTER_ADDR", "HOSTNAME", "USER", "HOME", "PATH", "PYTHONPATH", "PWD"),
            *("LD_LIBRARY_PATH", "TORCH_HOME", "NCCL_SOCKET_IFNAME", "NCCL_HOSTID"),
            *("NCCL_TOPO_FILE", "NCCL_COMM_ID", "NCCL_IB_HCA", "GLOO_SOCKET_IFNAME"),
            *("TF_CONFIG", "JAX_COORDINATOR_ADDRESS", "SLURM_JOB_NODELIST"),
            *("SLURM_JOB_USER", "TRITON_CACHE_DIR", "ACCELERATE_CONFIG_FILE"),
            *("HF_TOKEN", "TORCH_API_KEY", "TF_SECRET", "AWS_SECRET_ACCESS_KEY"),
            *("WANDB_API_KEY", "RANKS", "XRANK", "OMP_"),
        ],
    )
    def test_places_machines_people_and_secrets_are_not(self, name: str) -> None:
        assert variables(**{name: "canary"}) == {}

    @posix
    def test_paths_in_their_values_are_shortened(self) -> None:
        told = variables(XLA_FLAGS="--xla_a=1 --xla_dump_to=/home/al/dump")
        assert told == {"XLA_FLAGS": "--xla_a=1 --xla_dump_to=…/dump"}

    def test_devices_have_numbers_and_no_names(self) -> None:
        name = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
        assert variables(CUDA_VISIBLE_DEVICES=name) == {"CUDA_VISIBLE_DEVICES": "GPU-…"}
        assert variables(CUDA_VISIBLE_DEVICES="0,1") == {"CUDA_VISIBLE_DEVICES": "0,1"}


class TestLimits:
    def test_more_arguments_are_counted(self) -> None:
        found = asked(*["a"] * MAX_ARGUMENTS)
        assert found["left_out"] == {"arguments": 1}

    def test_long_texts_are_cut(self) -> None:
        assert argument("a" * MAX_TEXT) == "a" * MAX_TEXT
        assert argument("a" * (MAX_TEXT + 1)) == "a" * MAX_TEXT + "…"

    def test_no_part_of_a_secret_is_left_where_a_text_is_cut(self) -> None:
        token = "hf_" + "Ab3dE6gH9jK2mN5pQ8sT" * 2
        told = argument("x" * (MAX_TEXT - 24) + " " + token)
        assert "hf_" not in told
        assert told.endswith(" [secret]")
        assert argument("x " + token) == "x " + token

    def test_all_together_are_not_too_long(self) -> None:
        found = asked(*["é" * MAX_TEXT] * 500)
        argv = found["argv"]
        assert isinstance(argv, list)
        assert MAX_ALL / 2 < len("".join(argv).encode()) <= MAX_ALL
        assert found["left_out"] == {"arguments": 501 - len(argv)}

    def test_more_variables_are_counted(self) -> None:
        names = [f"OMP_{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(300)]
        found = asked(environ=dict.fromkeys(names, "1"))
        assert found["left_out"] == {"variables": 300 - MAX_VARIABLES}
        assert found["environ"] == dict.fromkeys(names[:MAX_VARIABLES], "1")


def test_the_switches_of_the_interpreter_are_told() -> None:
    program = (
        "from pathlib import Path;"
        "from provenance.fingerprint.machine.invocation import invocation;"
        "found = invocation([], cwd=Path.cwd(), top=None, environ={});"
        "print(found['interpreter']['optimize'], found['interpreter']['gil'])"
    )
    command = [sys.executable, "-OO", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert done.stdout == f"2 {gil}\n"
