"""What runs in every Python process below a watched command: it notes what happens.

It is copied beside that command and loaded there by whatever Python comes, from 3.8
on, so it needs nothing but the standard library, and of that next to nothing. It
promises never to raise into the program, nor to change what it computes: no random
state is touched, no module of weight is loaded, nothing is kept open that another
program would inherit.

A note is `kind time a b c d text` and a NUL, in a file that each process has for
itself, written at once: a process that is killed has told all that came before.

    p  a process      a, b: its number and its parent's; c: version; d: 1 if it was
                      forked from one that notes; text: program
    r  is read        a-d: size, time of change, inode, device; text: path
    m  is imported    as r
    w  is written     text: path
    d  is moved here  text: path of a folder, and with it of all that lies in it
    u  unsure         text: a path relative to a folder that is not known
    x  is started     a: 0, or why it will tell nothing: 1 its options, 2 its variables,
                      3 it is no Python; b: who starts it; text: name of the program
    n  a library      text: its name; it reads without asking Python
    c  a connection to another machine
    l  the limit      of notes is reached, nothing more is noted
    e  an error       of this file; nothing more is noted. text: which

>>> len(KINDS)
11
"""

from __future__ import annotations

import atexit
import os
import sys
import time

TYPE_CHECKING = False  # the module `typing` takes longer to load than this one
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any

KINDS = "prmwduxncle"
MAX_NOTES = 64 * 2**20
"""Bytes of notes of one process."""
MAX_KNOWN = 200_000
"""Files that a process remembers to have noted; beyond, it begins anew."""
MAX_TEXT = 8_192

_HERE = __file__
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
_FLAGS |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_KIND, _FILE, _FOLDER = 0o170000, 0o100000, 0o040000
"""What `stat` says that something is; the module `stat` is not worth its loading."""
_NO_FILE = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
_ACCESS = 3
"""The bits of flags that say whether a file is read, written, or both."""
_MAPS = "/proc/self/maps"
_MAX_MAPS = 16 * 2**20
_HIGH = 200
"""Descriptors that programs count on are below this."""

_NATIVE = frozenset(
    [
        "av",
        "bcolz",
        "cv2",
        "datatable",
        "deeplake",
        "duckdb",
        "fastparquet",
        "h5py",
        "imageio_ffmpeg",
        "kvikio",
        "lance",
        "lmdb",
        "netCDF4",
        "nvidia",
        "onnx",
        "onnxruntime",
        "osgeo",
        "polars",
        "pyarrow",
        "pysam",
        "rasterio",
        "rocksdict",
        "safetensors",
        "sentencepiece",
        "soundfile",
        "tables",
        "tensorflow",
        "tensorstore",
        "tokenizers",
        "torch",
        "torchaudio",
        "torchcodec",
        "torchvision",
        "turbojpeg",
        "vaex",
        "xgboost",
        "lightgbm",
    ]
)
"""Libraries that open files by themselves, so that Python never hears of it."""

_OF_MACHINE = (
    *("/proc/", "/sys/", "/etc/", "/run/", "/bin/", "/sbin/", "/lib/", "/lib32/"),
    *("/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/share/", "/usr/bin/", "/usr/sbin/"),
    *("/System/", "/Library/", "/private/etc/", "/snap/"),
)
_PYTHONS = ("python", "pypy")
_OWN = ("provenance-recorder", "fingerprint")
"""How the threads are called that record, where the program does that itself."""


def begin(folder: str) -> None:
    """Note from now on, into a file of this process in a folder."""
    if os.environ.get("PROVENANCE_WATCH") == folder and hasattr(sys, "addaudithook"):
        sys.addaudithook(_hook(_Watch(folder)))


def _hook(watch: _Watch) -> Callable[[str, Any], None]:
    """Return what is called at each event, of which there are very many.

    It is a function that knows of little: a method would take three times as long.
    """
    handlers, handle = watch.handlers, watch.handle

    def hook(event: str, args: Any) -> None:
        if event in handlers:
            handle(event, args)

    return hook


class _Watch:
    """The notes of this process, and what it has noted."""

    def __init__(self, folder: str) -> None:
        # What is needed until the very end of the interpreter is kept here: modules
        # lose their names before that.
        self._folder = folder
        self._encoding = sys.getfilesystemencoding()
        self._errors = sys.getfilesystemencodeerrors()
        self._standard = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
        self._nothing = (*_OF_MACHINE, self._standard, folder)
        self._stat, self._fstat, self._write = os.stat, os.fstat, os.write
        self._cwd, self._now = os.getcwd, time.time_ns
        self._getframe = sys._getframe  # noqa: SLF001 (documented as it is)
        self._modules = sys.modules
        self._is_ending = sys.is_finalizing
        self.handlers: dict[str, Callable[[Any], None]] = {
            "open": self._opened,
            "import": self._imported,
            "os.rename": self._renamed,
            "os.link": self._renamed,
            "os.truncate": self._truncated,
            "sqlite3.connect": self._database,
            "socket.connect": self._connected,
            "cpython.run_file": self._ran,
            "subprocess.Popen": self._started,
            "os.system": self._shell,
            "os.exec": self._replaced,
            "os.posix_spawn": self._replaced,
            "os.spawn": self._spawned,
            "pty.spawn": self._terminal,
        }
        self._off = False
        self._known: dict[str, tuple[int, int, int, int]] = {}
        self._written: set[str] = set()
        self._said: set[str] = set()
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)
        atexit.register(self._at_exit)

    def handle(self, event: str, args: Any) -> None:
        """Look at one event that says something about a file or a process."""
        if self._off:
            return
        try:
            self.handlers[event](args)
        except Exception as error:
            if self._is_of_program(error.__traceback__):
                raise  # a signal came just here, and its handler raised
            self._fail(error)

    # The file of notes.

    def _begin(self, forked: int = 0) -> None:
        self._descriptor, self._left = -1, MAX_NOTES
        try:
            self._open()
            version = sys.version_info
            number = version[0] * 10_000 + version[1] * 100 + version[2]
            program = self._bytes(sys.executable or "")
            self._note("p", os.getpid(), os.getppid(), number, forked, program)
        except Exception as error:  # noqa: BLE001 (whatever it is, the program goes on)
            self._fail(error)

    def _open(self) -> None:
        name = "%d-%d" % (os.getpid(), time.time_ns())
        found = os.open(os.path.join(self._folder, name), _FLAGS, 0o600)
        try:
            import fcntl
        except ImportError:  # not on Windows
            pass
        else:
            try:
                high = fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, _HIGH)
            except OSError:
                pass  # no descriptor is as high here
            else:
                os.close(found)
                found = high
            # Held as long as this process lives, however it ends.
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(found)
        self._descriptor, self._file = found, (status.st_dev, status.st_ino)

    def _forked(self) -> None:
        if self._off:
            return
        if self._is_ours():
            os.close(self._descriptor)
        self._begin(forked=1)

    def _is_ours(self) -> bool:
        """Tell whether the descriptor is still that of the notes.

        Some programs close all that they find open, and open their own.
        """
        try:
            status = self._fstat(self._descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._file

    def _note(self, kind: str, a: int, b: int, c: int, d: int, text: bytes) -> None:
        line = b"%s %d %d %d %d %d " % (kind.encode(), self._now(), a, b, c, d)
        line += text[:MAX_TEXT] + b"\0"
        self._left -= len(line)
        if self._left < 0:
            self._off = True
            line = b"l %d 0 0 0 0 \0" % self._now()
        if not self._is_ours():
            self._open()
        if self._write(self._descriptor, line) != len(line):
            self._off = True  # the rest of it is missing, and shows that

    def _fail(self, error: Exception) -> None:
        self._off = True
        if self._is_ending():
            return  # the program is over, and everything falls apart
        try:
            said = "%s: %s" % (type(error).__name__, error)
            line = b"e %d 0 0 0 0 " % self._now()
            line += said.encode("utf-8", "backslashreplace")[:200].replace(b"\0", b"")
            if self._is_ours():
                self._write(self._descriptor, line + b"\0")
        except Exception:  # noqa: BLE001, S110 (there is nowhere left to say it)
            pass

    def _at_exit(self) -> None:
        """Note what is mapped into memory: some libraries never open it by Python."""
        if self._off or not os.path.exists(_MAPS):
            return
        try:
            with open(_MAPS, "rb") as maps:
                lines = os.fsdecode(maps.read(_MAX_MAPS)).split("\n")
            found = [line.split(None, 5) for line in lines if " /" in line]
            programs = {words[5] for words in found if "x" in words[1]}
            for path in sorted({words[5] for words in found} - programs):
                place = None if path.startswith("/dev/") else self._place(path)
                if place is not None and place not in self._written:
                    self._read(place)
        except Exception as error:  # noqa: BLE001 (whatever it is, the program ends well)
            self._fail(error)

    def _is_of_program(self, at: TracebackType | None) -> bool:
        """Tell whether an exception comes out of code that is not ours."""
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        if at is None:
            return False
        return not self._is_between(at.tb_frame.f_code.co_filename)

    def _is_between(self, file: str) -> bool:
        """Tell whether code only stands between a program and what it asks for."""
        if file == _HERE or file.startswith("<frozen"):
            return True
        return file.startswith(self._standard) and not _is_part(file)

    # What the events say.

    def _opened(self, args: Any) -> None:
        path, mode, flags = args
        access = flags & _ACCESS
        if type(path) is str and not access:
            # Nearly always, and nearly always it was read before. The same name may be
            # that of another file by now, which then has another inode.
            known = self._known.get(path)
            if known is not None and mode is not None:
                s = self._stat(path)
                if known == (s.st_size, s.st_mtime_ns, s.st_ino, s.st_dev):
                    return
        if type(path) is int or flags & _NO_FILE:
            return  # it is open already, or none
        place = self._place(path)
        if place is None:
            return
        if mode is None and not access and not os.path.isabs(path):
            # `os.open` may mean another folder than the current one, and tells not.
            self._unsure(place)
            return
        if access != os.O_WRONLY and not flags & os.O_TRUNC:
            self._read(place, path)
        if access:
            self._wrote(place)

    def _read(self, place: str, name: Any = None) -> None:
        try:
            s = self._stat(place)
        except (OSError, ValueError):
            return  # it is not there, and cannot be opened either
        if s.st_mode & _KIND != _FILE:
            return  # a folder, a device, a pipe
        state = (s.st_size, s.st_mtime_ns, s.st_ino, s.st_dev)
        name = name or place
        if self._known.get(name) == state:
            return
        asking = self._asking()
        if asking == "ours":
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[name] = state
        if asking == "import" and place.endswith((".py", ".pyc", ".pyw", ".zip")):
            self._looked_at("m", _source(place))
        else:
            self._note("r", *state, self._bytes(place))

    def _wrote(self, place: str) -> None:
        if place in self._written or "/__pycache__/" in place:
            return
        if self._asking() != "":
            return
        if len(self._written) >= MAX_KNOWN:
            self._written.clear()
        self._written.add(place)
        self._note("w", 0, 0, 0, 0, self._bytes(place))

    def _unsure(self, place: str) -> None:
        if "u" + place in self._said or self._asking() == "ours":
            return
        try:
            mode = self._stat(place).st_mode
        except (OSError, ValueError):
            return
        if mode & _KIND == _FILE:
            self._once("u", place)

    def _imported(self, args: Any) -> None:
        name, file = args[0], args[1]
        if type(file) is str:
            place = self._place(file)
            if place is not None and place.endswith((".so", ".pyd", ".dylib")):
                self._looked_at("m", place)
        elif type(name) is str and name in _NATIVE:
            self._once("n", name)

    def _ran(self, args: Any) -> None:
        place = self._place(args[0])
        if place is not None:
            self._looked_at("m", place)

    def _looked_at(self, kind: str, place: str) -> None:
        status = self._stat(place)
        numbers = (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
        self._note(kind, *numbers, self._bytes(place))

    def _renamed(self, args: Any) -> None:
        source, target = args[0], args[1]
        if any(folder != -1 for folder in args[2:4]) and not os.path.isabs(target):
            return
        place = self._place(target)
        if place is None:
            return
        try:
            is_folder = self._stat(source).st_mode & _KIND == _FOLDER
        except (OSError, ValueError):
            is_folder = False
        if is_folder:
            self._note("d", 0, 0, 0, 0, self._bytes(place))
        else:
            self._wrote(place)

    def _truncated(self, args: Any) -> None:
        place = self._place(args[0])
        if place is not None:
            self._wrote(place)

    def _database(self, args: Any) -> None:
        place = None if args[0] in (":memory:", b":memory:") else self._place(args[0])
        if place is not None:
            self._read(place)
            self._wrote(place)

    def _connected(self, args: Any) -> None:
        address = args[1]
        if type(address) is tuple and address:
            host = address[0]
            if host not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", ""):
                self._once("c", "")

    def _started(self, args: Any) -> None:
        program, words, _, variables = args[:4]
        self._start(program, words, variables)

    def _replaced(self, args: Any) -> None:
        self._start(args[0], args[1], args[2])

    def _spawned(self, args: Any) -> None:
        self._start(args[1], args[2], args[3])

    def _terminal(self, args: Any) -> None:
        self._start(args[0][0], args[0], None)

    def _shell(self, _: Any) -> None:
        self._start("sh", (), None)

    def _start(self, program: Any, words: Any, variables: Any) -> None:
        if self._asking() == "ours":
            return
        name = os.path.basename(os.fsdecode(program or words[0]))
        why = 0
        if not name.startswith(_PYTHONS) and program != sys.executable:
            why = 3
        elif variables is not None and not self._is_passed_on(variables):
            why = 2
        elif _is_deaf([os.fsdecode(word) for word in words]):
            why = 1
        self._note("x", why, os.getpid(), 0, 0, self._bytes(name))

    def _is_passed_on(self, variables: Any) -> bool:
        found = variables.get("PROVENANCE_WATCH")
        if found is None and type(variables) is dict:  # others take no bytes
            found = variables.get(b"PROVENANCE_WATCH")
        return found is not None and os.fsdecode(found) == self._folder

    # Who asks, and for what.

    def _once(self, kind: str, text: str) -> None:
        if kind + text not in self._said and len(self._said) < MAX_KNOWN:
            self._said.add(kind + text)
            self._note(kind, 0, 0, 0, 0, self._bytes(text))

    def _place(self, path: Any) -> str | None:
        """Return the whole path of what is opened, or None where it matters not."""
        if type(path) is not str:
            if not isinstance(path, (str, bytes)):
                return None  # a number of a descriptor, of whatever type
            path = os.fsdecode(path)
        if not path.startswith("/"):
            if not os.path.isabs(path):
                path = os.path.join(self._cwd(), path)
        elif path.startswith("/dev/") and not path.startswith("/dev/shm/"):
            return None
        if path.startswith(self._nothing) or _is_part(path):
            return None
        found: str = path
        return found

    def _asking(self) -> str:
        """Say who opens a file: `import`, `ours` (who records), or the program."""
        threading = self._modules.get("threading")
        if threading is not None:
            known = getattr(threading, "_active", {}).get(threading.get_ident())
            if known is not None and known.name.startswith(_OWN):
                return "ours"
        frame: FrameType | None = self._getframe(2)
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(("<frozen importlib", "<frozen zipimport")):
                return "import"
            if not self._is_between(file):
                break
            frame = frame.f_back
        if frame is None:
            return ""
        name = frame.f_globals.get("__name__")
        is_ours = type(name) is str and (name + ".").startswith("provenance.")
        return "ours" if is_ours else ""

    def _bytes(self, text: str) -> bytes:
        return text.encode(self._encoding, self._errors).replace(b"\0", b"")


def _is_deaf(words: list[str]) -> bool:
    """Tell whether options of Python keep it from loading what is around it.

    >>> _is_deaf(["python", "-uI", "train.py"]), _is_deaf(["python", "a.py", "-I"])
    (True, False)
    """
    at = 1
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        if word.startswith("--"):
            at += 1 + (word == "--check-hash-based-pycs")
            continue
        for position, letter in enumerate(word[1:], 2):
            if letter in "IES":
                return True
            if letter in "cm":
                return False  # what follows is for the program
            if letter in "WX":
                at += position == len(word)
                break
        at += 1
    return False


def _is_part(path: str) -> bool:
    """Tell whether a file is part of something that is recorded elsewhere.

    >>> _is_part("/lib/site-packages/a.py"), _is_part("/data/a.txt")
    (True, False)
    """
    return "/site-packages/" in path or "/dist-packages/" in path or "/.git/" in path


def _source(path: str) -> str:
    """Return the source file of a compiled one, where there is one.

    >>> _source("/nowhere/__pycache__/helper.cpython-311.pyc")
    '/nowhere/__pycache__/helper.cpython-311.pyc'
    """
    folder, name = os.path.split(path)
    if not name.endswith(".pyc"):
        return path
    if os.path.basename(folder) == "__pycache__":
        folder = os.path.dirname(folder)
    source = os.path.join(folder, name.split(".", 1)[0] + ".py")
    return source if os.path.exists(source) else path
