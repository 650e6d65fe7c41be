"""What Kubernetes says of the pod that we run in, by its downward API in our environment.

Not settings of the sidecar: these say what is, and an older sidecar that knows none of them must not refuse
them as unknown.
"""

import ipaddress
from collections.abc import Mapping

from featward_sidecar.configuration import Pod, Problem

__all__ = ["POD", "POD_IP", "placed", "pod_of"]

POD = "pod:"
"""In the place of an address to listen on: that of the pod."""

POD_IP = "FEATWARD_POD_IP"
"""``status.podIP``: the address that ``pod:15443`` is a port of. Unset and empty: there is no such address."""

POD_NAME = "FEATWARD_POD_NAME"
"""``metadata.name``, told to the operator. Unset and empty: it does not learn which pod we are."""

POD_UID = "FEATWARD_POD_UID"
"""``metadata.uid``, likewise."""

NODE_NAME = "FEATWARD_NODE_NAME"
"""``spec.nodeName``, likewise."""


def pod_of(environment: Mapping[str, str]) -> Pod:
    """The pod, empty in what nobody said."""
    name, uid, node = (environment.get(each, "") for each in (POD_NAME, POD_UID, NODE_NAME))
    return Pod(name, uid, node)


def placed(key: str, address: str, environment: Mapping[str, str]) -> str | Problem:
    """``pod:15443`` with the pod's address; what is no such word is left as it is.

    >>> placed("server.listen", "pod:15443", {"FEATWARD_POD_IP": "fd00::7"})
    '[fd00::7]:15443'
    """
    if not address.startswith(POD):
        return address
    said = environment.get(POD_IP, "")
    try:
        ip = ipaddress.ip_address(said)
    except ValueError:
        found = f"is {said!r}, which is no IP address" if said else "is not set"
        text = f"{found}, and {key} is {address}; have Kubernetes set it, by fieldRef status.podIP"
        return Problem("environment", POD_IP, text)
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    return f"{host}:{address.removeprefix(POD)}"
