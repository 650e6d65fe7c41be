"""`featward ca …`: the commands, one module for each group of them.

The modules hold wiring and nothing else: what a command needs is imported when it runs, because
all of them are imported for every `--help`.
"""

import typer

from featward_ca.cli import fetch, recover, serve, status, store, token

app = typer.Typer(no_args_is_help=True, help="Run and look after the certificate authority.")
app.command("serve")(serve.serve)
app.command("status")(status.status)
app.command("fetch-svid")(fetch.fetch_svid)
app.command("backup")(store.backup)
app.command("restore")(store.restore)
app.add_typer(recover.app, name="recover")
app.add_typer(token.app, name="token")
