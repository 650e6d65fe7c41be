"""The cluster's DNS: CoreDNS on the node's address, as a plain program."""

from pathlib import Path

from cluster.box import Box
from cluster.control_plane import Inside
from cluster.init import ADDRESS
from cluster.node import DOMAIN
from cluster.waiting import wait_until

__all__ = ["start_dns", "wait_for_dns"]

PROGRAMS = ("coredns",)
_READY = f"{ADDRESS}:8181"


def start_dns(box: Box, inside: Inside, built: dict[str, Path]) -> None:
    """Names of Services and pods, which a test sees change within a second; none of the world outside.
    Returns at once.
    """
    kubeconfig = inside.kubeconfig("dns", "coredns", "system:masters")
    corefile = inside.folder / "Corefile"
    corefile.write_text(
        f"""
. {{
    bind {ADDRESS}
    errors
    ready {_READY}
    cache 1
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods verified
        ttl 1
    }}
}}
"""
    )
    box.start("coredns", built["coredns"], "-conf", str(corefile))


def wait_for_dns(box: Box) -> None:
    """Return when it knows all names."""
    wait_until(lambda: _is_ready(box), "CoreDNS is ready")


def _is_ready(box: Box) -> bool:
    box.check("coredns")
    try:
        box.run("busybox", "wget", "-q", "-O", "-", f"http://{_READY}/ready")
    except RuntimeError:
        return False
    return True
