"""What this operator is made of. The parts of one replica meet here, and nowhere else."""

from featward.identity.spiffe import SpiffeId
from featward_operator.addresses import addresses_in
from featward_operator.health import Gate
from featward_operator.identities import Identities
from featward_operator.policy.part import PolicyPart
from featward_operator.reconcile.part import reach_by_identity, reconcile_part
from featward_operator.rotation.part import RotationPart
from featward_operator.rotation.steer import Access
from featward_operator.run import Operator, Part
from featward_operator.settings import EnvironmentSettings
from featward_operator.vocabulary import Reason
from featward_operator.webhook.part import webhook_part
from featward_operator.world import World

__all__ = ["parts_of"]


def parts_of(operator: Operator) -> list[Part]:
    """The parts of one replica, in the order of their start."""
    settings = operator.settings
    world = World(lambda resource, cause: operator.metrics.relists.labels(resource, cause).inc())
    identities = Identities(settings.environments, settings.folders)
    policy = PolicyPart(world, identities, operator.metrics, addresses_in(settings.cluster_domain))

    async def follow(operator: Operator, gate: Gate) -> None:
        # Whoever needs the objects waits for them at a gate of its own.
        gate.open()
        await world.follow(operator.gateway)

    async def keep(_: Operator, gate: Gate) -> None:
        gate.open()
        await identities.keep()

    async def serve(_: Operator, gate: Gate) -> None:
        await policy.serve(f"[::]:{settings.ports.policy}", gate)

    def access(environment: EnvironmentSettings) -> Access:
        domain = environment.trust_domain
        workload, ca = identities.workloads[domain], str(SpiffeId.ca(domain))
        return Access(workload.ready.is_set, lambda: workload.channel(ca, environment.ca))

    def pods(namespace: str, account: str) -> int:
        return sum(1 for _ in world.pods.of_account(namespace, account))

    rotation = RotationPart(access, pods)
    by_identity = reach_by_identity(identities)

    def reach(environment: str) -> tuple[Reason, str]:
        # Who asks the CAs knows better than who renews by them, as soon as it has asked.
        return rotation.reach(environment) or by_identity(environment)

    return [
        Part("cluster", serve=follow),
        Part("identities", serve=keep),
        Part("policy", serve=serve),
        webhook_part(lambda settings: settings.injection, port=settings.ports.webhook),
        reconcile_part(operator, world, policy, identities, reach=reach),
        rotation.part(),
    ]
