"""Where a CA's manifests come from, and what becomes of an edit while it runs: a folder, or a cluster.

Whatever is wrong with an edit, the last good manifests stay in force, and the log, the metric and `featward ca
status` say so.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from featward.logs import fields
from featward_ca.core import Core
from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError, StoppingError
from featward_ca.manifests import changes, read_directory

if TYPE_CHECKING:
    # The package `kubernetes` comes with it, which a CA with a folder does without.
    from featward_ca.cluster.source import ClusterSource

_log = logging.getLogger(__name__)

Usable = Callable[[Directory], object]
"""Raises ConfigurationError for a directory that the CA can't begin with."""


class Manifests(Protocol):
    """Where they are."""

    async def first(self, usable: Usable, say: Callable[[str], None]) -> Directory:
        """What to begin with. Raises ConfigurationError, or waits and says for what."""
        ...

    async def follow(self, core: Core) -> None:
        """Take over every good edit, until cancelled."""
        ...


class FolderManifests:
    """A folder; an error in it refuses the whole edit."""

    def __init__(self, folder: Path, environment: str) -> None:
        self._folder = folder
        self._environment = environment

    async def first(self, usable: Usable, _: Callable[[str], None]) -> Directory:
        """Raises ConfigurationError: whoever starts the CA wrote the folder, too."""
        directory = read_directory(self._folder, self._environment)
        usable(directory)
        return directory

    async def follow(self, core: Core) -> None:
        async for _ in changes(self._folder):
            try:
                core.take_over(read_directory(self._folder, self._environment))
                _reloaded(core)
            except ConfigurationError as error:
                core.refuse(str(error))
                _refused(core, str(error))


class ClusterManifests:
    """The objects of a cluster; one that can't be used costs what it says and nothing else."""

    def __init__(self, source: "ClusterSource", stop: asyncio.Event) -> None:
        """`stop`: set when the CA is to end, also while it waits."""
        self._source = source
        self._stop = stop
        self._told: list[str] = []

    async def first(self, usable: Usable, say: Callable[[str], None]) -> Directory:
        """Waits for as long as the cluster has none that can be used: somebody is about to apply it.
        Raises StoppingError.
        """
        while True:
            try:
                directory, problems = self._source.directory()
                usable(directory)
            except ConfigurationError as error:
                say(str(error))
                await self._change_or_stop()
                continue
            self._told = problems
            return directory

    async def follow(self, core: Core) -> None:
        if self._told:
            core.refuse("; ".join(self._told))
        for problem in self._told:
            _refused(core, problem)
        while True:
            await self._source.change()
            before = core.situation.directory
            try:
                directory, problems = self._source.directory(before)
                core.take_over(directory, problems)
            except ConfigurationError as error:
                problems = [str(error)]
                core.refuse(str(error))
            for problem in problems:
                if problem not in self._told:
                    _refused(core, problem)
            self._told = problems
            if core.situation.directory != before:
                _reloaded(core)

    async def _change_or_stop(self) -> None:
        tasks = [
            asyncio.create_task(self._source.change()),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._stop.is_set():
            raise StoppingError("the CA was stopped while it waited for its Environment")


def _reloaded(core: Core) -> None:
    count = len(core.situation.directory.workloads)
    _log.info("manifests reloaded", extra=fields(workloads=count))


def _refused(core: Core, why: str) -> None:
    core.metrics.manifest_errors.inc()
    _log.error("edit of the manifests not taken over", extra=fields(error=why))
