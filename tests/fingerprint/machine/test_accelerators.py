"""Accelerators: parsers on recorded outputs, and tools that misbehave."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.fingerprint.machine import accelerators as module
from provenance.fingerprint.machine.accelerators import (
    accelerators,
    parse_nvidia,
    parse_rocm,
)
from provenance.model import values

if TYPE_CHECKING:
    from pathlib import Path

NVIDIA = """
==============NVSMI LOG==============

Timestamp                                 : Sat Oct 10 17:02:53 2020
Driver Version                            : 535.104.05
CUDA Version                              : 12.2

Attached GPUs                             : 2
GPU 00000000:00:04.0
    Product Name                          : NVIDIA A100-SXM4-40GB
    Product Brand                         : NVIDIA
    Product Architecture                  : Ampere
    MIG Mode
        Current                           : Enabled
        Pending                           : Enabled
    MIG Device
        Index                             : 0
        FB Memory Usage
            Total                         : 4864 MiB
    Serial Number                         : 1562221000000
    GPU UUID                              : GPU-a230e637-c9e1-1b61-3830-a437b874d88d
    FB Memory Usage
        Total                             : 40960 MiB
        Reserved                          : 571 MiB
    BAR1 Memory Usage
        Total                             : 65536 MiB
GPU 00000000:00:05.0
    Product Name                          : Tesla K40c
    FB Memory Usage
        Total                             : N/A
"""

ROCM = """WARNING: AMD GPU device(s) is/are in a low-power state.

""" + json.dumps(
    {
        "card10": {"Card series": "Arcturus GL-XL [AMD Instinct MI100]"},
        "card0": {
            "VRAM Total Memory (B)": "21458059264",
            "VRAM Total Used Memory (B)": "27856896",
            "Card Series": "Radeon RX 7900 XT",
            "Card Model": "0x744c",
            "Card SKU": "D70401XT",
            "GUID": "26967",
            "GFX Version": "gfx1100",
        },
        "system": {"Driver version": "6.14.14"},
    }
)


class TestNvidia:
    def test_devices_are_read_and_numbers_of_one_device_left_out(self) -> None:
        common = {"maker": "NVIDIA", "driver": "535.104.05", "cuda": "12.2"}
        assert parse_nvidia(NVIDIA) == [
            {
                **common,
                "model": "NVIDIA A100-SXM4-40GB",
                "architecture": "Ampere",
                "memory": 40960 * 2**20,
            },
            {**common, "model": "Tesla K40c", "memory": None},
        ]

    def test_an_error_message_is_no_device(self) -> None:
        text = "NVIDIA-SMI has failed because it couldn't communicate with the driver."
        assert parse_nvidia(text) == []

    def test_the_files_of_the_kernel_have_to_do(self, tmp_path: Path) -> None:
        gpu = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
        gpu.mkdir(parents=True)
        text = "Model: \t\t Tesla T4\nIRQ: 35\nGPU UUID: GPU-1\n"
        (gpu / "information").write_text(text)
        version = (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar 5\n"
        )
        (tmp_path / "proc/driver/nvidia/version").write_text(version)
        assert module._nvidia_files(tmp_path) == [
            {
                "maker": "NVIDIA",
                "memory": None,
                "model": "Tesla T4",
                "driver": "550.54.15",
            }
        ]


class TestAmd:
    def test_cards_are_read_in_order_whatever_the_capitals(self) -> None:
        assert parse_rocm(ROCM) == [
            {
                "maker": "AMD",
                "model": "Radeon RX 7900 XT",
                "memory": 21458059264,
                "architecture": "gfx1100",
                "driver": "6.14.14",
            },
            {
                "maker": "AMD",
                "model": "Arcturus GL-XL [AMD Instinct MI100]",
                "memory": None,
                "driver": "6.14.14",
            },
        ]

    @pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, '{"card0": 1}'])
    def test_what_is_something_else_gives_no_facts(self, text: str) -> None:
        assert all(one["model"] is None for one in parse_rocm(text))

    def test_the_files_of_the_kernel_have_to_do(self, tmp_path: Path) -> None:
        for card, vendor in (
            ("card0", "0x8086"),
            ("card1", "0x1002"),
            ("card1-DP", ""),
        ):
            device = tmp_path / "sys/class/drm" / card / "device"
            device.mkdir(parents=True)
            (device / "vendor").write_text(vendor + "\n")
            (device / "device").write_text("0x740c\n")
            (device / "mem_info_vram_total").write_text("68702699520\n")
        (tmp_path / "opt/rocm/.info").mkdir(parents=True)
        (tmp_path / "opt/rocm/.info/version").write_text("6.2.4-1\n")
        (tmp_path / "sys/module/amdgpu").mkdir(parents=True)
        (tmp_path / "sys/module/amdgpu/version").write_text("6.8.5\n")
        assert accelerators(tmp_path) == [
            {
                "maker": "AMD",
                "model": "0x740c",
                "memory": 68702699520,
                "driver": "6.8.5",
                "rocm": "6.2.4-1",
            }
        ]


@given(st.text() | st.sampled_from([NVIDIA, ROCM]).map(lambda text: text[7:300]))
def test_whatever_a_tool_prints_is_read_or_left(text: str) -> None:
    parse_nvidia(text)
    parse_rocm(text)


@pytest.mark.skipif(sys.platform == "win32", reason="the tools here are shell scripts")
class TestTools:
    @pytest.fixture
    def tools(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "tools"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return folder

    def put(self, folder: Path, name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def test_what_they_print_is_read(self, tools: Path) -> None:
        (tools / "out").write_text(NVIDIA)
        self.put(tools, "nvidia-smi", f'[ "$*" = -q ] && cat "{tools}/out"')
        (tools / "rocm").write_text(ROCM)
        self.put(tools, "rocm-smi", f'cat "{tools}/rocm"')
        found = accelerators(tools)
        assert [one["maker"] for one in found] == ["NVIDIA", "NVIDIA", "AMD", "AMD"]
        assert values.of(found)

    def test_there_is_a_limit(
        self, tools: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_DEVICES", 1)
        (tools / "out").write_text(NVIDIA)
        self.put(tools, "nvidia-smi", f'cat "{tools}/out"')
        assert len(accelerators(tools)) == 1

    @pytest.mark.parametrize("script", ["exit 9", "kill -9 $$", "printf '\\377\\376'"])
    def test_one_that_fails_is_as_none(self, tools: Path, script: str) -> None:
        self.put(tools, "nvidia-smi", script)
        assert accelerators(tools) == []

    def test_one_that_is_no_program_is_as_none(self, tools: Path) -> None:
        (tools / "nvidia-smi").write_bytes(b"\x7fELF nonsense")
        (tools / "nvidia-smi").chmod(0o755)
        assert accelerators(tools) == []

    def test_one_that_hangs_is_left(
        self, tools: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "TIMEOUT", 0.2)
        self.put(tools, "nvidia-smi", "exec sleep 60")
        started = time.perf_counter()
        assert accelerators(tools) == []
        assert time.perf_counter() - started < 30

    def test_a_tool_in_the_current_folder_is_never_run(
        self, tools: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tools / "out").write_text(NVIDIA)
        self.put(tools, "nvidia-smi", f'cat "{tools}/out"')
        monkeypatch.chdir(tools)
        for path in ("", ".", os.pathsep, str(tools)):
            monkeypatch.setenv("PATH", path)
            assert accelerators(tools) == []
