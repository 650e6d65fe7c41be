"""`make cluster`: a cluster that stays, for a person.

python -m cluster         starts one and says how to use it
python -m cluster stop    ends it
python -m cluster hold FOLDER
                          starts one in that folder, says its first process, and holds it until its input ends
"""

import os
import shutil
import sys
from pathlib import Path
from signal import SIGKILL

from cluster import machine
from cluster.images import BUSYBOX
from cluster.running import Cluster, running_cluster
from cluster.waiting import wait_until

_HELP = """
The cluster is up, with one node.

    export KUBECONFIG={kubeconfig}
    {kubectl} get nodes
    {kubectl} run -it --rm --image=localhost/busybox:1 --restart=Never try -- sh

No registry is there: images are {busybox}, and others after
    nsenter -t {pid} -p -m -n ctr -a /run/containerd/containerd.sock -n k8s.io images import IMAGE.tar
Logs and certificates, which end in two days, are in {folder}.
Stop it: make cluster-stop
"""


def main(arguments: list[str]) -> None:
    match arguments:
        case []:
            _start()
        case ["stop"]:
            _stop()
        case ["hold", folder]:
            with running_cluster(Path(folder)) as cluster:
                print(cluster.box.pid, flush=True)
                sys.stdin.read()
        case _:
            sys.exit(__doc__)


def _start() -> None:
    if _running():
        sys.exit(
            f"error: a cluster runs already, with its files in {_folder()}; make cluster-stop ends it"
        )
    shutil.rmtree(_folder(), ignore_errors=True)
    _folder().mkdir(parents=True)
    with running_cluster(_folder(), keep=True) as cluster:
        print(_help(cluster))


def _help(cluster: Cluster) -> str:
    return _HELP.format(
        kubeconfig=cluster.kubeconfig,
        kubectl=cluster.kubectl_program,
        busybox=BUSYBOX,
        folder=_folder(),
        pid=cluster.box.pid,
    )


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "featward" / "cluster"


def _running() -> int:
    """The process to kill, or 0."""
    try:
        return machine.owner((_folder() / "box").read_text())
    except FileNotFoundError:
        return 0


def _stop() -> None:
    pid = _running()
    if not pid:
        sys.exit("error: no cluster runs that was started by make cluster")
    os.kill(pid, SIGKILL)
    wait_until(lambda: not _running(), "the cluster has ended", 30)
    machine.remove_leftovers()


if __name__ == "__main__":
    main(sys.argv[1:])
