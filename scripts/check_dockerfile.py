"""Runs the steps of the Dockerfile without a container engine, then the image's command as the image would.

    python scripts/check_dockerfile.py [--file Dockerfile] [--context .] [--lock requirements/serve.txt]

Every stage gets an empty folder in place of the root, at the same path one after the other, with a virtual environment
of this Python as the base image's. COPY takes from the build context, less what .dockerignore leaves out, or from a
finished stage; RUN is run by a shell, but one that needs root is checked for form and told as "not run"; ENV and
WORKDIR are kept, USER is only checked. The final stage may hold no tool, test or cache, and only what the lock names.
Then its ENTRYPOINT and CMD are started with its environment, its HEALTHCHECK has to pass, a drawn amethyst is
identified over HTTP, SIGTERM has to end it with status 0, and nothing below the root may have changed. Exit status 1,
and the step, where one fails.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PHOTO: Final = ROOT / "examples" / "drawn-amethyst.png"
PLACES: Final = ("opt", "build", "usr")
"""Folders of the image that steps write to or run from; other absolute paths are left alone."""
NOT_WANTED: Final = ("gcc", "g++", "cc", "cc1", "clang", "ld", "make", "pip", "pytest", "hatchling")
OWN: Final = "handlens"
"""The package that the image is of, which no lock names."""
NEEDS_ROOT: Final = frozenset({"apt-get", "apt", "apk", "dpkg", "useradd", "adduser", "groupadd", "addgroup", "chown"})
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 60, 30, 900


class StepError(Exception):
    """A step failed."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, its continuation lines joined."""

    line: int
    name: str
    text: str


@dataclass
class Stage:
    """What a stage has come to."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    command: dict[str, list[str]] = field(default_factory=dict)


def instructions(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile without heredocs; comments and blank lines are left out."""
    found: list[Instruction] = []
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begun = begun or number
        parts.append(line.rstrip().removesuffix("\\").strip())
        if not line.rstrip().endswith("\\"):
            name, _, rest = " ".join(parts).partition(" ")
            found.append(Instruction(begun, name.upper(), rest.strip()))
            begun, parts = 0, []
    if parts:
        raise StepError("the Dockerfile ends in the middle of an instruction")
    return found


def exec_form(text: str) -> list[str]:
    """The words of an instruction in the exec form, which alone lets a signal reach the process."""
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise StepError(f"not in the exec form: {text}")
    return words


def assignments(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that an ENV sets; $NAME is what it was before."""
    pairs = [word.partition("=") for word in shlex.split(text)]
    if not all(name and equals for name, equals, _ in pairs):
        raise StepError("not in the form NAME=VALUE")
    return {
        name: re.sub(r"\$\{?(\w+)\}?", lambda match: environment.get(match[1], ""), value) for name, _, value in pairs
    }


def needs_root(text: str) -> bool:
    """Whether a RUN has a command that only root can run, and that would change this machine."""
    return any(words and words[0] in NEEDS_ROOT for words in commands(text))


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell line."""
    found: list[list[str]] = [[]]
    words = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    words.whitespace_split = True
    for word in words:
        if set(word) <= set("();|&\n"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def check_form(text: str) -> None:
    """Checks a RUN that is not run: apt-get asks nothing and leaves no lists, users and groups have numbers."""
    if subprocess.run(["/bin/sh", "-nc", text], capture_output=True).returncode:
        raise StepError("the shell cannot read it")
    for words in commands(text):
        if words[:1] == ["apt-get"] and "install" in words:
            if not {"-y", "-yqq", "--yes", "--assume-yes"} & set(words) or "--no-install-recommends" not in words:
                raise StepError("apt-get install without -y and --no-install-recommends")
            if not re.search(r"rm -rf /var/lib/apt/lists", text):
                raise StepError("the lists of apt-get stay")
        if words[:1] in (["useradd"], ["adduser"]) and not re.search(r"(--uid|-u)[ =][1-9]\d*", " ".join(words)):
            raise StepError("a user without a number")
        if words[:1] in (["groupadd"], ["addgroup"]) and not re.search(r"(--gid|-g)[ =][1-9]\d*", " ".join(words)):
            raise StepError("a group without a number")


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore leaves a path of the context out; the last pattern that fits decides."""
    out = False
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    for pattern in patterns:
        plain = pattern.removeprefix("!").removeprefix("**/")
        names = parents + ([Path(one).name for one in parents] if "**/" in pattern else [])
        if any(fnmatch(name, plain) for name in names):
            out = not pattern.startswith("!")
    return out


class Build:
    """Goes through the steps; `work` holds the root that every stage has in turn, and the finished stages."""

    def __init__(self, context: Path, work: Path) -> None:
        self.context, self.work, self.root = context, work, work / "root"
        self.stages: list[Stage] = []
        file = context / ".dockerignore"
        lines = file.read_text().splitlines() if file.is_file() else []
        self._ignore = [line.strip().removesuffix("/") for line in lines if line.strip() and not line.startswith("#")]

    @property
    def stage(self) -> Stage:
        """The one at work."""
        if not self.stages:
            raise StepError("nothing comes before FROM")
        return self.stages[-1]

    def mapped(self, text: str) -> str:
        """The text with the image's folders below the root; this Python's own folders stay."""
        return re.sub(rf"(?<![\w./-])/({'|'.join(PLACES)})(?=[/\s:\"']|$)", rf"{self.root}/\1", text)

    def environment(self) -> dict[str, str]:
        """What a process of the image sees, with what this machine needs to reach a package index."""
        kept = {name: text for name, text in os.environ.items() if name.startswith(("PIP_INDEX", "PIP_EXTRA", "SSL_"))}
        kept |= {
            name: text for name, text in os.environ.items() if "proxy" in name.lower() or name == "PIP_CONFIG_FILE"
        }
        return kept | {name: self.mapped(text) for name, text in self.stage.environment.items()}

    def run(self, one: Instruction) -> str:
        """One step; "ok", or "not run" where it was only checked. Raises StepError."""
        match one.name:
            case "FROM":
                self._begin(one.text)
            case "ENV":
                self.stage.environment |= assignments(one.text, self.stage.environment)
            case "WORKDIR":
                self.stage.folder = one.text
                self._place(one.text).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(one.text)
            case "RUN" if needs_root(one.text):
                check_form(one.text)
                return "not run"
            case "RUN":
                self._shell(one.text)
            case "USER":
                if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", one.text):
                    raise StepError("the user must be a number, and not root")
                self.stage.user = one.text
            case "CMD" | "ENTRYPOINT":
                self.stage.command[one.name] = exec_form(one.text)
            case "HEALTHCHECK":
                self.stage.command[one.name] = exec_form(one.text.partition("CMD ")[2])
            case "LABEL" | "EXPOSE" | "STOPSIGNAL":
                pass
            case _:
                raise StepError("this script does not know the instruction")
        return "ok"

    def _begin(self, text: str) -> None:
        image, _, name = text.partition(" AS ")
        if not re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image):
            raise StepError("the image must be of a version")
        if self.stages:
            self.root.rename(self.work / self.stage.name)
        self.stages.append(Stage(name or f"stage-{len(self.stages)}"))
        local = self.root / "usr" / "local"
        subprocess.run([sys.executable, "-m", "venv", str(local)], check=True)
        self.stage.environment["PATH"] = "/usr/local/bin:/bin:/sbin"
        self.stage.environment["HOME"] = str(self.root)

    def _place(self, path: str) -> Path:
        return self.root / Path(self.stage.folder, path).as_posix().lstrip("/")

    def _copy(self, text: str) -> None:
        words = shlex.split(text)
        source = self.context
        if words[0].startswith("--from="):
            source = self.work / words.pop(0).removeprefix("--from=")
            if not source.is_dir():
                raise StepError(f"there is no stage {source.name}")
        *names, target = words
        for name in names:
            there = source / name.lstrip("/")
            if not there.exists() or (source == self.context and ignored(name, self._ignore)):
                raise StepError(f"{name} is not in the build context")
            place = self._place(target)
            if there.is_dir():
                shutil.copytree(there, place, symlinks=True, dirs_exist_ok=True, ignore=self._left_out(source))
            else:
                place = place / there.name if target.endswith("/") or len(names) > 1 else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(there, place)

    def _left_out(self, source: Path) -> Callable[[str, list[str]], set[str]]:
        def left_out(folder: str, names: list[str]) -> set[str]:
            if source != self.context:
                return set()
            inside = Path(folder).relative_to(self.context)
            return {name for name in names if ignored(str(inside / name), self._ignore)}

        return left_out

    def _shell(self, text: str) -> None:
        script = self.mapped(text)
        folder = self._place(".")
        done = subprocess.run(
            ["/bin/sh", "-ec", script],
            cwd=folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        if done.returncode:
            raise StepError(f"exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def words(self, name: str) -> list[str]:
        """The words of ENTRYPOINT, CMD or HEALTHCHECK."""
        return [self.mapped(word) for word in self.stage.command.get(name, [])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=ROOT / "Dockerfile")
    parser.add_argument("--context", type=Path, default=ROOT)
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements" / "serve.txt")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build = Build(options.context.resolve(), Path(folder).resolve())
        step = str(options.file)
        try:
            for one in instructions(options.file.read_text()):
                step = f"line {one.line}: {one.name} {one.text[:80]}"
                begun = time.perf_counter()
                outcome = build.run(one)
                print(f"{outcome:7}  {time.perf_counter() - begun:5.1f} s  {step}", flush=True)
            step = "what the image holds"
            print(f"ok                {step}: {check_contents(build, options.lock)}", flush=True)
            step = "the command"
            print(f"ok                {step}: {check_command(build)}", flush=True)
        except (StepError, OSError, ValueError, subprocess.SubprocessError, http.client.HTTPException) as error:
            print(f"NO  {step}: {error}", file=sys.stderr)
            return 1
    return 0


def check_contents(build: Build, lock: Path) -> str:
    """The final stage beside its base holds no tool, test or cache, and only what the lock names; how large it is."""
    if build.stage.user == "root":
        raise StepError("the user is root")
    own = [path for place in PLACES if place != "usr" for path in (build.root / place).rglob("*")]
    for name in NOT_WANTED:
        if found := [path for path in own if path.name == name]:
            raise StepError(f"{found[0].relative_to(build.root)} is in the image")
    if caches := [path for path in own if path.name in ("http-v2", "selfcheck") or path.suffix == ".whl"]:
        raise StepError(f"{caches[0].relative_to(build.root)} is a cache")
    if tests := [path for path in own if is_test(path)]:
        raise StepError(f"{tests[0].relative_to(build.root)} is a test")
    installed = {distribution(path) for path in own if path.name.endswith(".dist-info")}
    named = locked(lock.read_text())
    if strange := sorted(pair for pair in installed - named if pair[0] != OWN):
        raise StepError(f"{'=='.join(strange[0])} is not in {lock.name}")
    size = sum(path.stat().st_size for path in own if path.is_file() and not path.is_symlink())
    return f"{len(installed)} packages, {size / 1e6:.0f} MB beside the base image"


def is_test(path: Path) -> bool:
    """Whether it is a test, but for those that other packages bring inside themselves."""
    if path.name not in ("tests", "conftest.py") and not (path.name.startswith("test_") and path.suffix == ".py"):
        return False
    inside = path.parts[path.parts.index("site-packages") + 1 :] if "site-packages" in path.parts else ()
    return len(inside) < 2 or inside[0] in ("tests", OWN)


def distribution(path: Path) -> tuple[str, str]:
    """Name, in the form in which names are compared, and version of a .dist-info folder."""
    name, _, version = path.name.removesuffix(".dist-info").partition("-")
    return plain_name(name), version


def locked(text: str) -> set[tuple[str, str]]:
    """Names and versions of a requirements file, for every Python and system."""
    return {(plain_name(name), version) for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)}


def plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def check_command(build: Build) -> str:
    """Started, healthy, answering, stopped; nothing written."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = build.environment() | {"HANDLENS_PORT": str(port), "HANDLENS_HOST": "127.0.0.1"}
    before = state(build.root)
    command = build.words("ENTRYPOINT") + build.words("CMD")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(executable(command, environment), cwd=folder, env=environment)
        try:
            while not healthy(build, environment):
                if process.poll() is not None:
                    raise StepError(f"{shlex.join(command)} ended with {process.returncode}")
                if time.perf_counter() > begun + START_SECONDS:
                    raise StepError(f"not healthy after {START_SECONDS} s")
                time.sleep(0.1)
            ready = time.perf_counter() - begun
            name = identified(port)
            process.send_signal(signal.SIGTERM)
            status = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise StepError(f"SIGTERM did not end it in {STOP_SECONDS} s") from error
        finally:
            process.kill()
            process.wait()
    if status:
        raise StepError(f"SIGTERM ended it with {status}")
    if changed := sorted(before.items() ^ state(build.root).items()):
        raise StepError(f"{changed[0][0]} changed, and the root is read-only")
    return f"healthy after {ready:.1f} s, answers {name!r}, ends with 0 on SIGTERM, writes nothing"


def executable(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """The words with the program found on the image's own path."""
    program = shutil.which(words[0], path=environment["PATH"])
    if program is None:
        raise StepError(f"{words[0]} is not on the path")
    return [program, *words[1:]]


def healthy(build: Build, environment: Mapping[str, str]) -> bool:
    words = executable(build.words("HEALTHCHECK"), environment)
    return subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0


def identified(port: int) -> str:
    """The name that the service gives to the drawn amethyst."""
    boundary = "part"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photos"; filename="a.png"\r\n\r\n'
    body = head.encode() + PHOTO.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/identify", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != http.client.OK:
        raise StepError(f"/v1/identify answers {response.status}: {answer}")
    return str(answer["candidates"][0]["name"])


def state(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


if __name__ == "__main__":
    sys.exit(main())
