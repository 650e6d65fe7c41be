"""What `make cluster` leaves in its cluster for a person: featward, a Feast, two clients, and a program that
asks as one of them.
"""

import sys
import time
from pathlib import Path

from cluster.asking import ASK
from cluster.drivers import ML, PRICING, Drivers, make_drivers
from cluster.pods import PYTHON
from cluster.release import installed
from cluster.running import Cluster
from image_builder.build import build

__all__ = ["put_on_trial", "write_ask"]

_ASK_AS = """#!{interpreter}
'''Ask the demo's Feast as one of its clients: ask CLIENT COLUMN[,COLUMN…]; such as ask pricing-api conv_rate'''
import json, subprocess, sys
if len(sys.argv) != 3:
    sys.exit(__doc__)
_, client, columns = sys.argv
command = [{kubectl!r}, {kubeconfig!r}, "exec", "--namespace", {namespace!r}, "deploy/" + client]
command += ["--container", "app", "--", {python!r}, "-c", {program!r}, {variable!r}, columns]
asked = subprocess.run(command, stdout=subprocess.PIPE, text=True)
if asked.returncode:
    sys.exit(asked.returncode)
status, body = json.loads(asked.stdout)
print(status)
print(json.dumps(json.loads(body), indent=2) if body else "")
"""


def put_on_trial(cluster: Cluster) -> Drivers:
    """Install featward with the images of this tree, and make the demo; says how far it is."""
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)

    say("the cluster is up; importing the images and installing the chart")
    images = [(one.name, one.file) for one in build("dev", demo=True)]
    with installed(cluster, images) as release:
        say("the CA and two operators are ready; making a Feast and two clients of it")
        drivers = make_drivers(release)
    say(f"all pods of {ML} and {PRICING} are ready")
    return drivers


def write_ask(cluster: Cluster, drivers: Drivers, folder: Path) -> Path:
    """The program `ask`, in this folder."""
    text = _ASK_AS.format(
        interpreter=sys.executable,
        kubectl=str(cluster.kubectl_program),
        kubeconfig=f"--kubeconfig={cluster.kubeconfig}",
        namespace=PRICING,
        python=PYTHON,
        program=ASK,
        variable=drivers.variable,
    )
    file = folder / "ask"
    file.write_text(text)
    file.chmod(0o755)
    return file
