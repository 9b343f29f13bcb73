# SPDX-License-Identifier: Apache-2.0
"""Bringing an image's bytes into staging, if they are not there already.

How a source is read is its import method's business; what is done to the bytes then, of ``steps``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from glancekit.core.contracts.importing import (
    ImportMethod,
    SourceStream,
    SupportsDescription,
    SupportsForecast,
)
from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.drivers import IMPORT_METHODS, IMPORT_STEPS
from glancekit.core.errors import Invalid, SourceChanged
from glancekit.core.model.image import Image, Location
from glancekit.core.model.task import Task
from glancekit.core.options import STAGING_STORE
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.flows.ports import Job, Staged
from glancekit.services import quotas
from glancekit.services.importing import records, rows
from glancekit.services.importing.patience import beat, look, patiently, require_mine
from glancekit.services.importing.plugins import ImportPlugin, watched
from glancekit.services.importing.pulse import Pulse
from glancekit.services.staging import DATA, Staging, write_whole
from glancekit.services.world import World

log = logging.getLogger(__name__)

_DESCRIPTION = "description.json"
"""The file that says what the source said of the record."""


class Fetching:
    """Brings bytes into a staging folder.

    A method that moves nothing for ``stall_time`` seconds is given up.
    """

    def __init__(self, world: World, staging: Staging, *, stall_time: float) -> None:
        self._world = world
        self._staging = staging
        self._stall_time = stall_time

    def fetch(self, job: Job) -> Staged:
        """Bring the bytes into staging, if they are not there; go on where another stopped."""
        data = self._staging.of(job.image_id) / DATA
        if job.method == records.DIRECT:
            self._complete(job)
        else:  # an earlier import, given up, may have left its own
            require_mine(self._world, job)
            self._staging.keep_for(job.image_id, job.task_id)
        if data.exists() and self._staging.is_certain(job.image_id):
            # by glance-direct, or by who died behind it
            require_mine(self._world, job)
            return Staged(file=DATA, size=data.stat().st_size, **self._kept_description(job))
        if job.method == records.DIRECT:
            raise Invalid("There are no staged data; stage them again (PUT /v2/images/{id}/stage)")
        return self._fetch(job)

    def fetch_what_was_lost(self, job: Job, staged: Staged) -> None:
        """Fetch again what was in the memory of a host that went down, before it is used."""
        if staged.file == DATA and not self._staging.is_certain(job.image_id):
            log.warning("the staged data of image %s were lost, fetching again", job.image_id)
            self._fetch(job)

    def _complete(self, job: Job) -> None:
        """Publish what came in parts where a kill kept from it."""
        image, _ = look(self._world, lambda work: records.mine(self._world, work, job))
        if image.size is not None:
            self._staging.complete(job.image_id, image.size)

    def _fetch(self, job: Job) -> Staged:
        method = self._world.importing.methods.get(job.method)
        if method is None:
            raise Invalid(f"The import method '{job.method}' is not available any more")
        image, task, writing = patiently(self._world, lambda work: self._intend(work, job))
        plugin = ImportPlugin(self._world, IMPORT_METHODS, job.method)
        image, staged = self._described(plugin, method, image, task)
        folder = self._staging.prepare(job.image_id)
        write_whole(folder / _DESCRIPTION, json.dumps(staged.to_json()))
        caller = records.caller_of(self._world, task)
        open_source = partial(method.open, image, _arguments(task), caller=caller)
        source, begun = self._open(job, plugin, open_source)
        with source:
            receipt = self._receive(job, image, writing, source, begun)
        data = self._staging.publish(job.image_id, None if begun else receipt)
        return replace(staged, size=data.stat().st_size)

    def _intend(self, work: UnitOfWork, job: Job) -> tuple[Image, Task, Location]:
        """Write down that bytes are about to come to this host."""
        image, task = records.mine(self._world, work, job)
        place = records.with_properties(image, {records.PLACE: self._staging.place})
        if place != image:
            image = work.images.save(place, expect_status={image.status})
        writing = rows.intend(self._world, work, job, STAGING_STORE)
        return image, task, writing

    def _described(
        self, plugin: ImportPlugin, method: ImportMethod, image: Image, task: Task
    ) -> tuple[Image, Staged]:
        """Return the image as its source describes it, and what that changes of the record."""
        staged = Staged(file=DATA, size=0)
        if not isinstance(method, SupportsDescription):
            return image, staged
        caller = records.caller_of(self._world, task)
        describe = partial(method.describe, image, _arguments(task), caller=caller)
        described = plugin.answer("describe", describe, self._stall_time, kind=Image)
        return described, records.difference(image, described, staged)

    def _open(
        self, job: Job, plugin: ImportPlugin, open_source: Callable[..., SourceStream]
    ) -> tuple[SourceStream, int]:
        """Open the source behind what is there of it; say how many bytes those are."""
        fetched = self._staging.left(job.image_id)
        try:
            source = plugin.opened(partial(open_source, fetched=fetched), self._stall_time)
        except SourceChanged:
            if fetched is None:
                raise
            fetched = None
            source = plugin.opened(partial(open_source, fetched=None), self._stall_time)
        if fetched is None:
            self._staging.drop_left(job.image_id)
            return source, 0
        return source, fetched.size

    def _receive(
        self,
        job: Job,
        image: Image,
        writing: Location,
        source: SourceStream,
        begun: int,
    ) -> Receipt:
        """Let a source's bytes come in behind those that are there."""
        size, is_replaced = source.size, self._will_be_replaced(job, image)
        allowed = quotas.allowance(self._world, image.owner)
        if size is not None:
            patiently(
                self._world,
                lambda work: quotas.reserve(work, allowed, image.owner, writing, size),
            )
        pulse = Pulse(beat(self._world, job), "fetch", size, done=begun)
        plan = TransferPlan(
            declared_size=None if size is None else size - begun,
            size_cap=self._world.settings.image_size_cap - begun,
            hash_algo=None if is_replaced else self._world.settings.hashing_algorithm,
            observers=(
                pulse,
                *quotas.observers(self._world, allowed, writing, size),
            ),
        )
        write = partial(
            self._staging.write,
            job.image_id,
            version=source.version,
            is_durable=not is_replaced,
        )
        move = partial(transfer, source, plan, write)
        return watched(move, f"import method {job.method}", self._stall_time, pulse)[1]

    def _will_be_replaced(self, job: Job, image: Image) -> bool:
        """Say whether a step makes another file of all that comes.

        Nobody needs the digests of what came then, nor has to wait until it is on a disk.
        """
        for step in job.steps:
            driver: object = self._world.importing.steps.get(step)
            if not isinstance(driver, SupportsForecast):
                continue
            plugin = ImportPlugin(self._world, IMPORT_STEPS, step)
            ask = partial(driver.will_replace, image)
            if plugin.answer("will_replace", ask, self._stall_time, kind=bool):
                return True
        return False

    def _kept_description(self, job: Job) -> dict[str, dict[str, str]]:
        try:
            text = (self._staging.of(job.image_id) / _DESCRIPTION).read_text()
        except FileNotFoundError:
            return {}
        kept = Staged.from_json(json.loads(text))
        return {"attributes": dict(kept.attributes), "properties": dict(kept.properties)}


def _arguments(task: Task) -> dict[str, Any]:
    """Return what the request said about its method."""
    given = task.input.get("import_req", {}).get("method", {})
    return {name: value for name, value in given.items() if name != "name"}
