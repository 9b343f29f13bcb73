# SPDX-License-Identifier: Apache-2.0
"""Where another region's image service is, as the operator says or the caller's catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keystoneauth1.access.service_catalog import ServiceCatalogV3
from keystoneauth1.exceptions import CatalogException, ClientException, HttpError
from keystoneauth1.session import Session

from glancekit.plugin import Identity, Invalid, Unauthenticated, Unavailable

_SECONDS = 30.0
"""For Keystone's answer."""


class Catalog:
    """Endpoints of image services by region."""

    def __init__(self, options: Any) -> None:
        self._given: Mapping[str, str] = options.endpoints
        self._auth_url: str | None = options.auth_url
        trusted: str | bool = options.https_ca_certificates_file or not options.https_insecure
        self._verify = trusted

    def endpoint(self, region: str, interface: str, caller: Identity) -> str:
        """Return the address of a region's image service, without ``/v2``.

        :raises Invalid: when there is none.
        :raises Unavailable: when Keystone does not answer.
        :raises Unauthenticated: when it no longer knows the caller.
        """
        found = self._given.get(region) or self._looked_up(region, interface, caller)
        if not found:
            raise Invalid(
                f"there is no image service in the region '{region}' with an endpoint that is "
                f"{interface}"
            )
        return found.rstrip("/").removesuffix("/v2")

    def _looked_up(self, region: str, interface: str, caller: Identity) -> str | None:
        if self._auth_url is None:
            return None
        catalog = ServiceCatalogV3(self._catalog(self._auth_url, caller))
        try:
            url: str | None = catalog.url_for(
                service_type="image", interface=interface, region_name=region
            )
        except CatalogException:
            return None
        return url

    def _catalog(self, auth_url: str, caller: Identity) -> Any:
        url = auth_url.rstrip("/").removesuffix("/v3") + "/v3/auth/catalog"
        session = Session(verify=self._verify, timeout=_SECONDS)
        try:
            answer = session.get(
                url, headers={"X-Auth-Token": token_of(caller)}, authenticated=False
            )
            return answer.json()["catalog"]
        except HttpError as error:
            if error.http_status == 401:
                raise Unauthenticated(
                    "the token of this import has expired; import the image again"
                ) from error
            raise Unavailable(f"Keystone answered {error.http_status}") from error
        except (ClientException, ValueError, LookupError, TypeError) as error:
            raise Unavailable("Keystone does not answer") from error


def token_of(caller: Identity) -> str:
    """Return what the caller authenticated with.

    :raises Unauthenticated: when it is not there, or not any more.
    """
    if caller.token is None:
        raise Unauthenticated(
            "the caller's token is needed for another image service, and there is none"
        )
    return str(caller.token)
