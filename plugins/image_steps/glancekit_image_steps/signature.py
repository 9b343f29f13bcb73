# SPDX-License-Identifier: Apache-2.0
"""The step ``image_signature``: the four ``img_signature*`` properties, held against the bytes.

The certificate is in a key manager; cursive and castellan know how to ask it, and are imported
when the first signature is to be verified.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from glancekit.plugin import (
    CHUNK_SIZE,
    ConfigError,
    ImportStep,
    Progress,
    SignatureInvalid,
    StagedImage,
    StrOpt,
    Unavailable,
)

log = logging.getLogger(__name__)

_CASTELLANS = (
    "backend",
    "barbican_endpoint",
    "auth_endpoint",
    "vault_url",
    "vault_root_token_id",
    "vault_kv_mountpoint",
    "vault_approle_role_id",
    "vault_approle_secret_id",
    "vault_ssl_ca_crt_file",
)
"""Options that castellan knows by the same names."""

PROPERTIES = (
    "img_signature",
    "img_signature_hash_method",
    "img_signature_key_type",
    "img_signature_certificate_uuid",
)


class SignatureVerification(ImportStep):
    """Refuse an image whose signature is not of its bytes. One without a signature is let pass."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "key_manager"
    options: ClassVar[Sequence[Any]] = (
        StrOpt(
            "backend",
            default="barbican",
            help="Key manager that has the certificates, as castellan names it.",
        ),
        StrOpt("barbican_endpoint", help="Address of Barbican. Default: from the catalog."),
        StrOpt("auth_endpoint", help="Address of Keystone, for Barbican."),
        StrOpt("username", help="This service's user, who may read the certificates in Barbican."),
        StrOpt("password", secret=True, help="That user's password."),
        StrOpt("project_name", default="service", help="That user's project."),
        StrOpt("user_domain_name", default="Default", help="That user's domain."),
        StrOpt("project_domain_name", default="Default", help="That project's domain."),
        StrOpt("vault_url", help="Address of Vault."),
        StrOpt("vault_root_token_id", secret=True, help="Token for Vault."),
        StrOpt("vault_kv_mountpoint", help="Where Vault's keys are mounted."),
        StrOpt("vault_approle_role_id", help="Role of this service in Vault."),
        StrOpt("vault_approle_secret_id", secret=True, help="Secret of that role."),
        StrOpt("vault_ssl_ca_crt_file", help="File with the authorities of Vault's certificate."),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._options = options

    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether the image has a signature, or a part of one."""
        return any(name in staged.image.properties for name in PROPERTIES)

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Read the image against its signature.

        :raises SignatureInvalid: when it is not of these bytes, or is none.
        :raises Unavailable: when the key manager does not answer.
        """
        properties = staged.image.properties
        missing = [name for name in PROPERTIES if name not in properties]
        if missing:
            raise SignatureInvalid(f"the image lacks the property {', '.join(missing)}")
        verifier = self._verifier(properties)
        total = staged.path.stat().st_size
        with staged.path.open("rb") as file:
            while chunk := file.read(CHUNK_SIZE):
                verifier.update(chunk)
                progress(file.tell(), total)
        _verify(verifier)
        log.info("the signature of image %s is valid", staged.image.id)
        return staged

    def revert(self, staged: StagedImage) -> None:
        """Do nothing: nothing was made."""

    def _verifier(self, properties: Mapping[str, str]) -> Any:
        _require_installed()
        from castellan.common.exception import KeyManagerError
        from cursive.exception import CursiveException
        from cursive.signature_utils import get_verifier

        try:
            return get_verifier(
                self._context(),
                img_signature_certificate_uuid=properties["img_signature_certificate_uuid"],
                img_signature_hash_method=properties["img_signature_hash_method"],
                img_signature=properties["img_signature"],
                img_signature_key_type=properties["img_signature_key_type"],
            )
        except CursiveException as error:
            # cursive calls a certificate that it could not ask for a bad one.
            if isinstance(error.__context__, KeyManagerError):
                raise Unavailable("the key manager does not answer") from error
            raise SignatureInvalid(str(error)) from error

    def _context(self) -> Any:
        """Tell castellan, which knows one configuration in a process, ours; and who asks.

        That is this service's user: an import outlives its caller's token.
        """
        from castellan.common.credentials.keystone_password import KeystonePassword
        from castellan.options import set_defaults
        from oslo_config import cfg

        options = self._options
        given = {name: getattr(options, name) for name in _CASTELLANS}
        set_defaults(cfg.CONF, **{name: value for name, value in given.items() if value})
        if not options.username:
            return None
        return KeystonePassword(
            options.password,
            username=options.username,
            auth_url=options.auth_endpoint,
            project_name=options.project_name,
            user_domain_name=options.user_domain_name,
            project_domain_name=options.project_domain_name,
        )


def _verify(verifier: Any) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        verifier.verify()
    except InvalidSignature:
        raise SignatureInvalid("it is not of this data") from None


def _require_installed() -> None:
    if missing := [name for name in ("castellan", "cursive") if find_spec(name) is None]:
        raise ConfigError(
            f"signatures are verified with castellan and cursive, and {missing[0]} is not there: "
            "pip install glancekit-image-steps[signatures]"
        )
