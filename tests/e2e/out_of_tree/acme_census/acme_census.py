# SPDX-License-Identifier: Apache-2.0
"""Writes every so often how many images there are, for ACME's dashboard."""

import json
from functools import partial
from pathlib import Path

from glancekit import plugin as gk


class AcmeCensus:
    api_level = 1
    section = "acme_census"
    options = (
        gk.StrOpt("file", default="$data_dir/census.json", help="Where to write it."),
        gk.FloatOpt("interval", default=60.0, help="Seconds between two counts."),
    )

    def __init__(self, options, *, name):
        self._file = Path(options.file)
        self._interval = options.interval

    @gk.hookimpl
    def register_periodic_tasks(self, world):
        count = partial(self._count, world.metadata)
        return [gk.PeriodicTask(name="census", interval=self._interval, run=count)]

    def _count(self, metadata):
        with metadata.unit_of_work(read_only=True) as work:
            counts = {
                project: work.quotas.usage(project).images for project in work.quotas.projects()
            }
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(json.dumps(counts))
        unfinished.replace(self._file)
