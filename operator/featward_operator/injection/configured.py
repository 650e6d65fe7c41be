"""From the operator's configuration to the settings of injection."""

from featward_operator.injection.section import InjectionSection
from featward_operator.injection.settings import EnvironmentSettings, InjectionSettings
from featward_operator.settings import Settings

__all__ = ["injection_settings"]


def injection_settings(
    settings: Settings, section: InjectionSection, version: str
) -> InjectionSettings:
    """All that injection goes by. Raises ValueError for an image that is too old to be a sidecar."""
    service = f"{settings.service_name}.{settings.namespace}.svc.{settings.cluster_domain}"
    return InjectionSettings(
        image=settings.image,
        namespace=settings.namespace,
        operator=f"{service}:{settings.ports.policy}",
        environments={
            one.name: EnvironmentSettings(one.trust_domain, one.ca) for one in settings.environments
        },
        version=version,
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=tuple(settings.image_pull_secrets),
        **section.model_dump(),
    )
