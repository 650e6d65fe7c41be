"""`make cluster`: a cluster that stays, for a person.

python -m cluster         starts one with the demo in it, and says how to use it
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
A Feast in the namespace ml serves the feature set ml/driver-stats. Of its clients in the namespace pricing
one is granted the column conv_rate, and the other one nothing.

    export KUBECONFIG={kubeconfig}
    export PATH={programs}:{commands}:$PATH
    kubectl featward status -A
    {ask} pricing-api conv_rate     # 200
    {ask} pricing-api acc_rate      # 403: it is not granted
    {ask} stranger conv_rate        # 403: nothing is
    kubectl edit fbind pricing-api -n ml     # the next answer goes by what you write
    kubectl featward exposure -n ml --probe --from pricing
    kubectl featward rotate prod.payments --watch

No registry is there: images are {busybox}, featward's, and others after
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
    # It needs the images' builder, which nothing else here does.
    from cluster.trial import put_on_trial, write_ask

    with running_cluster(_folder(), keep=True) as cluster:
        ask = write_ask(cluster, put_on_trial(cluster), _folder())
        print(_help(cluster, ask))


def _help(cluster: Cluster, ask: Path) -> str:
    return _HELP.format(
        kubeconfig=cluster.kubeconfig,
        programs=cluster.kubectl_program.parent,
        commands=Path(sys.executable).parent,
        ask=ask,
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
