"""Whom an environment federates with: foreign trust domains whose identities it can tell, and where their
bundles come from.

The parameters are those of the SPIFFE Federation standard, section 5, by its names. They decide whose word is
taken for a whole trust domain, so each is written out and none is guessed from another.
"""

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from featward.manifests.model import Model, Rule
from featward.manifests.text import EXPECTED, SpiffeIdText, TrustDomainName

__all__ = ["Federation"]

# No user info: the standard forbids it, and a URL is shown in logs and in `featward ca status`.
_URL = r"^https://([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?([/?][!-~]*)?$"
EXPECTED[_URL] = "a URL such as https://spire.partner.example:8443/bundle, without user or password"
EndpointUrl: TypeAlias = Annotated[
    str, StringConstraints(pattern=_URL, min_length=1, max_length=2048)
]


class Federation(Model):
    """One foreign trust domain."""

    trust_domain: TrustDomainName = Field(
        description="The foreign trust domain, never one of your own: between environments nothing is accepted."
    )
    url: EndpointUrl = Field(description="Where its bundle is fetched, again and again.")
    profile: Literal["https_web", "https_spiffe"] = Field(
        description="How the server at the URL proves itself: `https_web` by a certificate for the URL's host "
        "that the CA's machine trusts, `https_spiffe` by the SVID of `endpointSpiffeId`."
    )
    endpoint_spiffe_id: SpiffeIdText | None = Field(
        default=None, description="For `https_spiffe`: the SPIFFE ID of the server at the URL."
    )
    bootstrap_bundle: str | None = Field(
        default=None,
        min_length=1,
        max_length=524_288,
        description="For `https_spiffe`: a bundle (JSON) of the trust domain of `endpointSpiffeId`, by which "
        "the server is known until that domain's bundle has been fetched, and again where this one has a "
        "higher `spiffe_sequence`.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.profile != 'https_spiffe' || (has(self.endpointSpiffeId) && has(self.bootstrapBundle))",
            "expected endpointSpiffeId and bootstrapBundle beside profile https_spiffe",
        ),
        Rule(
            "self.profile != 'https_web' || (!has(self.endpointSpiffeId) && !has(self.bootstrapBundle))",
            "expected neither endpointSpiffeId nor bootstrapBundle beside profile https_web",
        ),
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        both = (self.endpoint_spiffe_id, self.bootstrap_bundle)
        if self.profile == "https_spiffe" and None in both:
            raise ValueError(
                "expected endpointSpiffeId and bootstrapBundle beside profile https_spiffe"
            )
        if self.profile == "https_web" and both != (None, None):
            raise ValueError(
                "expected neither endpointSpiffeId nor bootstrapBundle beside profile https_web"
            )
        return self
