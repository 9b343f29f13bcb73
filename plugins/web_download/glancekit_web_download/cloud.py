# SPDX-License-Identifier: Apache-2.0
"""Other regions' image services: where they are, and this service's own user there.

An import may wait for longer than its caller's token lives, so nobody's token is kept. What a
caller may have there is decided in ``glance``, by the record of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity import V3ApplicationCredential, V3Password
from keystoneauth1.session import Session

from glancekit.plugin import DictOpt, Invalid, StrOpt, Unavailable

SECTION = "glance_download_properties"

OPTIONS: Sequence[Any] = (
    DictOpt(
        "endpoints",
        default={},
        help="Addresses of image services by region: 'north:https://images.north.example'. For "
        "regions that are not there, Keystone's catalog is asked.",
    ),
    StrOpt("auth_url", help="Keystone's address. Default: nobody is asked, and no token sent."),
    StrOpt("username", help="This service's user there, who may see what is to be imported."),
    StrOpt("password", secret=True, help="That user's password."),
    StrOpt("project_name", default="service", help="That user's project."),
    StrOpt("user_domain_name", default="Default", help="That user's domain."),
    StrOpt("user_domain_id", help="That user's domain by its id, which counts more."),
    StrOpt("project_domain_name", default="Default", help="That project's domain."),
    StrOpt("project_domain_id", help="That project's domain by its id, which counts more."),
    StrOpt(
        "application_credential_id",
        help="An application credential of that user's, instead of name and password.",
    ),
    StrOpt("application_credential_secret", secret=True, help="The credential's secret."),
)

_SECONDS = 30.0
"""For Keystone's answer."""


class Cloud:
    """What Keystone knows, asked as this service's own user."""

    def __init__(self, options: Any) -> None:
        self._given: Mapping[str, str] = options.endpoints
        self._session: Session | None = None
        if options.auth_url:
            trusted = options.https_ca_certificates_file or not options.https_insecure
            self._session = Session(auth=_login(options), verify=trusted, timeout=_SECONDS)

    def endpoint(self, region: str, interface: str) -> str:
        """Return the address of a region's image service, without ``/v2``.

        :raises Invalid: when there is none.
        :raises Unavailable: when Keystone does not answer.
        """
        found = self._given.get(region)
        if found is None and self._session is not None:
            with _asking():
                found = self._session.get_endpoint(
                    service_type="image", interface=interface, region_name=region
                )
        if not found:
            raise Invalid(
                f"no image service is known in the region '{region}' with an endpoint that is "
                f"{interface}; the operator names it in [{SECTION}] endpoints, or the Keystone "
                "that knows it in auth_url"
            )
        return found.rstrip("/").removesuffix("/v2")

    def headers(self) -> Mapping[str, str]:
        """Return what tells an image service who asks.

        :raises Unavailable: when Keystone does not answer.
        """
        if self._session is None:
            return {}
        with _asking():
            return {"X-Auth-Token": str(self._session.get_token())}


def _login(options: Any) -> V3ApplicationCredential | V3Password:
    if options.application_credential_id:
        return V3ApplicationCredential(
            options.auth_url,
            application_credential_id=options.application_credential_id,
            application_credential_secret=options.application_credential_secret,
        )
    return V3Password(
        options.auth_url,
        username=options.username,
        password=options.password,
        project_name=options.project_name,
        user_domain_name=options.user_domain_name,
        user_domain_id=options.user_domain_id,
        project_domain_name=options.project_domain_name,
        project_domain_id=options.project_domain_id,
    )


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except ClientException as error:
        raise Unavailable(f"Keystone does not help: {type(error).__name__}") from error
