"""Reads the commands of a page of documentation, and runs them as its reader would.

Shared by the tests of the pages. What the words after a fence's language mean:

- ``sh``: run in the page's folder; it must succeed. A ``text`` block right after it is what comes back.
- ``sh eventually``: the same, again and again until the text comes back, because an edit needs a moment.
- ``sh stopped``: the same, after all terminals were closed.
- ``sh terminal``: one program that goes on running; the text after it is what it says once it is up.
- ``sh install``: what the test's own environment already is; not run.
- ``yaml file=NAME``: the reader writes it to that file.

In a text, a line ``...`` stands for any lines, ``…`` for anything within a line, and spaces are not counted.
The ports of a page are replaced by free ones, in its commands, its texts, and the YAML that it makes.
"""

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Block", "Reader", "blocks", "says"]

PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{4,5}|(?<=port )\d{4,5}|(?<=port: )\d{4,5}")
FENCE = re.compile(r"^```(\S*)[ ]?(.*)$")
COMMAND_SECONDS = 120.0
START_SECONDS = 120.0
EVENTUALLY_SECONDS = 30.0


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    info: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in its order."""
    found: list[Block] = []
    inside: tuple[str, str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if inside is None and fence:
            inside, lines = (fence[1], fence[2].strip(), number), []
        elif inside is not None and line == "```":
            found.append(Block(inside[0], inside[1], "\n".join(lines) + "\n", inside[2]))
            inside = None
        elif inside is not None:
            lines.append(line)
    return found


def says(expected: str, output: str) -> bool:
    """Whether the output is what the page says that comes back."""
    parts: list[str] = []
    for line in expected.strip("\n").splitlines():
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = (re.escape(" ".join(part.split())) for part in line.split("…"))
            parts.append(r"[ ]?" + r"[^\n]*?".join(words) + r"[ ]?\n")
    tidy = "".join(" ".join(line.split()) + "\n" for line in output.strip().splitlines())
    return re.fullmatch("".join(parts), tidy) is not None


@dataclass
class Terminal:
    """A program that goes on running, with a terminal as a person would give it."""

    process: subprocess.Popen[bytes]
    descriptor: int
    output: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def follow(self) -> None:
        """Keep what it says until it ends."""
        while True:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.output += data.decode(errors="replace")

    def stop(self) -> None:
        """End it as Ctrl-C does, and its children with it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@dataclass
class Reader:
    """Somebody who follows a page, in an empty folder."""

    page: Path
    folder: Path
    ports: Iterator[int]
    environment: Mapping[str, str]
    # Folders that the page makes and that are not to be touched.
    foreign: tuple[str, ...] = ()
    _free: dict[str, str] = field(default_factory=dict)
    _terminals: list[Terminal] = field(default_factory=list)

    def follow(self) -> int:
        """Do all that the page says; returns how many blocks were run. Fails where it says what is not so."""
        page = blocks(self.page)
        done = 0
        for block, after in zip(page, [*page[1:], None], strict=True):
            expected = after.text if after and after.language == "text" else None
            if block.language == "yaml" and block.info.startswith("file="):
                file = self.folder / block.info.removeprefix("file=")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self._here(block.text))
            elif block.language == "sh" and block.info != "install":
                self._run(block, None if expected is None else self._here(expected))
                done += 1
        return done

    def put_port(self, said: str, port: int) -> None:
        """What the page calls port `said` is this one, and runs already."""
        self._free[said] = str(port)

    def port(self, said: str) -> int:
        """What the page's port `said` really is, for the reader of another page."""
        return int(self._free[said])

    def stop(self) -> None:
        """Close all terminals, the newest first."""
        for terminal in reversed(self._terminals):
            terminal.stop()

    def _run(self, block: Block, expected: str | None) -> None:
        command = self._here(block.text)
        where = f"{self.page.name}, line {block.line}"
        if block.info == "terminal":
            self._open(command, expected or "", where)
            return
        if block.info == "stopped":
            self.stop()
        deadline = time.monotonic() + (EVENTUALLY_SECONDS if block.info == "eventually" else 0.0)
        while True:
            done = self._shell(command)
            told = done.returncode == 0 and (expected is None or says(expected, done.stdout))
            if told or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert told, (
            f"{where}:\n{command}\nended with {done.returncode} and said\n{done.stdout}\nnot\n{expected}"
        )
        self._move_ports()

    def _shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def _open(self, command: str, expected: str, where: str) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        terminal = Terminal(process, ours)
        self._terminals.append(terminal)
        threading.Thread(target=terminal.follow, daemon=True).start()
        deadline = time.monotonic() + START_SECONDS
        while not says(f"...\n{expected}...\n", terminal.output):
            assert process.poll() is None, f"{where}:\n{command}\nended and said\n{terminal.output}"
            assert time.monotonic() < deadline, (
                f"{where}:\n{command}\nsaid\n{terminal.output}\nnot\n{expected}"
            )
            time.sleep(0.1)

    def _here(self, text: str) -> str:
        """The text with our ports. A port that is already ours stays."""

        def ours(match: re.Match[str]) -> str:
            if match[0] in self._free.values():
                return match[0]
            if match[0] not in self._free:
                self._free[match[0]] = str(next(self.ports))
            return self._free[match[0]]

        return PORT.sub(ours, text)

    def _move_ports(self) -> None:
        """In the files that commands wrote."""
        for file in self.folder.rglob("*.yaml"):
            if file.relative_to(self.folder).parts[0] in self.foreign:
                continue
            before = file.read_text("utf-8")
            after = self._here(before)
            if after != before:
                file.write_text(after)
