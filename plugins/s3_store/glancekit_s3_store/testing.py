# SPDX-License-Identifier: Apache-2.0
"""A real S3 server for tests: moto, in a folder and on a port of its own.

No running service imports it. Making its environment is the business of ``tools/moto.sh``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from glancekit.testing.servers import HERE, SingleServer, find_environment, free_port, listens

ENVIRONMENT = "GLANCEKIT_TEST_MOTO"
"""Environment variable that names the environment; default is .venv-moto here or above."""


def _program() -> Path | None:
    environment = find_environment(ENVIRONMENT, ".venv-moto", has="bin/moto_server")
    return None if environment is None else environment / "bin/moto_server"


def missing() -> str | None:
    """Say what has to be made before a moto can be started; None when nothing."""
    if _program() is None:
        return "there is no S3 server to test with: sh tools/moto.sh .venv-moto"
    return None


class RealMoto(SingleServer):
    """One moto, which takes any credentials and forgets everything as it is stopped.

    :param certificate: the files of a certificate and of its key, for https.
    """

    def __init__(self, folder: Path, *, certificate: tuple[str, str] | None = None) -> None:
        super().__init__(folder / "moto.log")
        program = _program()
        if program is None:
            raise RuntimeError(missing())
        self._program = program
        self._certificate = certificate
        self.port = free_port()

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self._certificate else 'http'}://{HERE}:{self.port}"

    def command(self) -> Sequence[str]:
        """See the base."""
        command = [str(self._program), "-H", HERE, "-p", str(self.port)]
        if self._certificate is not None:
            command += ["-s", "-c", self._certificate[0], "-k", self._certificate[1]]
        return command

    def environment(self) -> Mapping[str, str]:
        """See the base: parts of an upload may be small."""
        return {"S3_UPLOAD_PART_MIN_SIZE": "1"}

    def answers(self) -> bool:
        """See the base."""
        return listens(self.port)
