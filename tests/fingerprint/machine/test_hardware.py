"""Hardware: what Linux shows as files, and what the calls of this system say."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from provenance.fingerprint.machine import hardware
from provenance.fingerprint.machine.hardware import (
    cpu_quota,
    memory_limit,
    parse_cpuinfo,
)
from provenance.model import values

TWO_SOCKETS = "".join(
    f"""processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
physical id\t: {number % 2}
core id\t\t: {number // 2 % 2}
flags\t\t: fpu sse4_2 avx avx2 fma avx512f amx_bf16 ht

"""
    for number in range(8)
)
ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm asimdhp sve bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


class TestProcessor:
    def test_hyper_threads_are_no_cores(self) -> None:
        assert parse_cpuinfo(TWO_SOCKETS) == {
            "model": "Intel(R) Xeon(R) Platinum 8480+",
            "physical": 4,
            "instructions": ["sse4_2", "avx", "avx2", "fma", "avx512f", "amx_bf16"],
        }

    def test_a_processor_without_a_name_has_numbers(self) -> None:
        found = parse_cpuinfo(ARM)
        numbers = "ARM implementer 0x41, part 0xd40, variant 0x1, revision 1"
        assert found["model"] == numbers
        assert found["instructions"] == ["asimd", "asimdhp", "bf16", "sve"]

    @pytest.mark.parametrize("text", ["", "\0\xff", "no colon\n\n\n:\n"])
    def test_what_says_nothing_gives_nothing(self, text: str) -> None:
        empty: dict[str, object] = {"model": None, "physical": None, "instructions": []}
        assert parse_cpuinfo(text) == empty


class TestControlGroups:
    """Version 2 is one tree; before it there was one for each controller."""

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def test_the_tightest_limit_around_us_counts(self, tmp_path: Path) -> None:
        self.write(tmp_path / "a/b/cpu.max", "max 100000\n")
        self.write(tmp_path / "a/cpu.max", "150000 100000\n")
        self.write(tmp_path / "cpu.max", "400000 100000\n")
        self.write(tmp_path / "a/b/memory.max", "max\n")
        self.write(tmp_path / "a/memory.max", "1048576\n")
        groups = {"": PurePosixPath("/a/b")}
        assert cpu_quota(tmp_path, groups) == 1.5
        assert memory_limit(tmp_path, groups) == 2**20

    def test_the_old_version_is_read(self, tmp_path: Path) -> None:
        self.write(tmp_path / "cpu/x/cpu.cfs_quota_us", "50000\n")
        self.write(tmp_path / "cpu/x/cpu.cfs_period_us", "100000\n")
        self.write(tmp_path / "memory/memory.limit_in_bytes", "2097152\n")
        text = "4:memory:/\n3:cpu,cpuacct:/x\n0::/\nnonsense\n"
        groups = dict(hardware._groups(text))
        assert cpu_quota(tmp_path, groups) == 0.5
        assert memory_limit(tmp_path, groups) == 2**21

    def test_no_limit_is_none(self, tmp_path: Path) -> None:
        self.write(tmp_path / "cpu.max", "max 100000\n")
        self.write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
        self.write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
        self.write(tmp_path / "memory/memory.limit_in_bytes", "9223372036854771712\n")
        groups = {name: PurePosixPath("/") for name in ("", "cpu", "memory")}
        assert cpu_quota(tmp_path, groups) is None
        assert memory_limit(tmp_path, groups) is None
        assert cpu_quota(tmp_path, {}) is None

    def test_a_group_outside_of_the_mount_is_not_followed(self, tmp_path: Path) -> None:
        self.write(tmp_path / "cpu.max", "100000 100000\n")
        self.write(tmp_path.parent / "out/cpu.max", "1 100000\n")
        assert cpu_quota(tmp_path, {"": PurePosixPath("/../out")}) == 1.0


class TestThisMachine:
    def test_it_can_be_spelled(self) -> None:
        found = hardware.hardware()
        assert values.to(values.of(found)) == found

    def test_it_has_cores_and_memory(self) -> None:
        found = hardware.hardware()
        cpu, memory = found["cpu"], found["memory"]
        assert isinstance(cpu, dict)
        assert isinstance(memory, dict)
        assert cpu["logical"] == os.cpu_count()
        assert isinstance(memory["total"], int)
        assert memory["total"] > 2**27

    @pytest.mark.skipif(sys.platform != "linux", reason="affinity is a call of Linux")
    def test_cores_that_we_may_not_use_are_not_available(self) -> None:
        program = (
            "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
            "from provenance.fingerprint.machine.hardware import hardware;"
            "print(hardware()['cpu']['available'])"
        )
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"

    def test_other_systems_without_their_calls_know_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for system in ("Darwin", "Windows"):
            monkeypatch.setattr(platform, "system", lambda system=system: system)
            assert values.of(hardware.hardware())
