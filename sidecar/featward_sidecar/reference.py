"""Writes the reference page of the sidecar: `python -m featward_sidecar.reference`, which `make docs` calls.

Keys, defaults and reasons are those of the code (`settings` and the docstrings of `configuration`), so the page can't
promise what isn't read. What no code says about itself (the record's fields, the metrics, the signals) is written
here. A test fails while this and docs/sidecar.md differ. Never imported by the running sidecar.
"""

import ast
import inspect
import sys
from dataclasses import MISSING, fields

from featward_sidecar import configuration
from featward_sidecar.settings import SETTINGS, Setting

__all__ = ["page"]

_SECTIONS = {
    "identity": configuration.Identity,
    "agent": configuration.Agent,
    "server": configuration.Server,
    "limits": configuration.Limits,
    "logging": configuration.Logging,
}

_BEFORE = """\
# The sidecar

The keys on this page are generated from the code by `make docs`; change those.

`featward sidecar run --config FILE` serves until SIGTERM. One program does both jobs, alone or together: with `server` it
stands before a feature server, with `outbound` beside a caller.

```yaml
workload: prod.payments/feast
manifests: ./manifests
ca: 127.0.0.1:8443
joinTokenFile: ./feast.token
server: {listen: 127.0.0.1:15443, plain: 127.0.0.1:15080}
outbound: {driver-stats: 127.0.0.1:15100}
limits: {rows: 500}
```

Every key can also be given by an environment variable, and the more common ones by a flag (`featward sidecar run --help`). A
flag goes over the environment, and the environment over the file. Relative paths in the file start at the file's folder;
in flags and variables, at the working directory. `featward sidecar validate --config FILE` prints what would be used, or
everything that is wrong with it.

| key | default | meaning | variable |
|---|---|---|---|
"""

_AFTER = """
`outbound` maps a feature set, named as in the manifests (`namespace/name` where two have one name), to a local address. For a
UNIX socket on a machine with several users, write `{listen: "unix:/run/app/features.sock", peerUid: 1000}`.

## Health

On `health`, over plain HTTP, GET only:

| path | 200 means |
|---|---|
| `/startedz` | the configuration is good and the listeners are up; says nothing of the identity |
| `/readyz` | with `server`: identity and policy are there and the feature server accepts connections; without: the listeners are up. 503 says in words what is missing |
| `/livez` | the process answers |
| `/metrics` | Prometheus text (OpenMetrics) |

## Status

`featward sidecar status --config FILE` asks the admin socket, which only the sidecar's own user may open: identity and
*runway* (how long the identity lasts if the CA stays away), policy and mode of each set, who called lately with and without
identity, and who would be refused if the sets were enforced. `--output json` has everything that it knows.

## Signals and exit codes

| signal | effect |
|---|---|
| SIGTERM, SIGINT | requests in flight may end within `drainSeconds`, new ones are refused with `draining`; a second signal cuts them off |
| SIGHUP | reads the manifests again; edits are noticed within a second anyway |

| exit code | meaning |
|---|---|
| 0 | ended by a signal |
| 1 | could not start: the log's line `not started` says why; `validate`: the configuration is wrong |
| 2 | the configuration or the command line is wrong: every problem is printed |

## When it restarts

Keys live in memory only. With a join token, a restarted sidecar needs a new token. Attestation by the kernel
([the CA](ca.md)) needs none, and is the better choice on a machine that the CA runs on. The last good policy is kept
in `state` and used at a start while the manifests hold an error, up to seven days.

## The record

One JSON object a line, written before the first byte of the answer; entity values are never in it.

| field | meaning |
|---|---|
| `kind` | `decision`, or `handshake` for a TLS connection that was not accepted |
| `time`, `id` | when, and the request's id, which the caller got in `featward-request-id` |
| `peer`, `serial` | the caller's SPIFFE ID and the serial of its certificate, or null |
| `source`, `via` | its address, and `mtls` or `plain` |
| `policy` | the digest of the policy that decided |
| `feature_sets`, `features`, `service` | what was asked for; names are listed up to 200, then `features_total` counts them |
| `granted`, `missing`, `stripped` | how many features were granted; which were not; which of these the answer was given without |
| `rows`, `cost` | rows asked for, and cost units charged |
| `rule` | the binding that decided |
| `route` | the route of the adapter, or `none` |
| `mode`, `outcome`, `applied`, `reason` | the strictest mode of the sets; what was decided; whether that was applied or only recorded; and [why](problems/README.md) |
| `upstream_status`, `status` | what the feature server answered, and what the caller got; null where it did not come to that |
| `seconds` | from the request's head to the answer's first byte |

The file is appended to and never cut. Give each sidecar a file of its own.

## Metrics

| series | labels | meaning |
|---|---|---|
| `featward_requests_total` | `feature_set`, `operation`, `decision`, `reason` | requests by how they ended |
| `featward_request_duration_seconds` | | from the request's head to the answer's first byte |
| `featward_upstream_duration_seconds` | | the feature server's part of that |
| `featward_decision_duration_seconds` | | reading, deciding and limiting |
| `featward_stripped_features_total` | `feature_set` | features left out of answers |
| `featward_records_dropped_total` | | record lines that were not written. Alert above 0 |
| `featward_connections` | `listener` | open connections |
| `featward_connections_refused_total` | `listener`, `reason` | connections that ended before their first request |
| `featward_outbound_requests_total` | `feature_set`, `result` | requests of local apps |
| `featward_certificate_expiry_timestamp_seconds` | `purpose` | when the certificate expires |
| `featward_identity_runway_seconds` | | how long it lasts. Alert below a quarter of the lifetime |
| `featward_bundle_sequence` | | the trust in use; it grows |
| `featward_policy_info` | `digest` | the policy in use |
| `featward_policy_age_seconds` | | since when |
"""


def page() -> str:
    """The whole page."""
    return _BEFORE + "".join(map(_row, SETTINGS)) + _AFTER


def _row(setting: Setting) -> str:
    section, _, name = setting.target.partition(".")
    default, meaning = "", "The feature sets that apps beside us read. See below."
    if name:
        owner = _SECTIONS[section]
        found = next(field for field in fields(owner) if field.name == name)
        default, meaning = _shown(found.default), _docstrings(owner)[name]
    cells = (f"`{setting.key}`", default, meaning.replace("``", "`"), f"`{setting.variable}`")
    return "| " + " | ".join(cells) + " |\n"


def _shown(default: object) -> str:
    if default is MISSING:
        return ""
    return "" if default is None else f"`{default}`"


def _docstrings(owner: type) -> dict[str, str]:
    """The text below each field; Python keeps none of it, so the source is read."""
    (body,) = ast.parse(inspect.getsource(owner)).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101  its source is a class
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[before.target.id] = " ".join(text.split())
    return found


if __name__ == "__main__":
    sys.stdout.write(page())
