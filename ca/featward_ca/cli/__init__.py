"""`featward ca …`: the commands, one module for each group of them.

The modules hold wiring and nothing else: what a command needs is imported when it runs, because
all of them are imported for every `--help`.
"""

import typer

from featward_ca.cli import authority, ceremony, compromise, fetch, serve, status, token

app = typer.Typer(no_args_is_help=True, help="Run and look after the certificate authority.")
app.command("serve")(serve.serve)
app.command("status")(status.status)
app.command("fetch-svid")(fetch.fetch_svid)
app.command("compromise")(compromise.compromise)
app.add_typer(authority.app, name="authority")
app.add_typer(ceremony.app, name="ceremony")
app.add_typer(token.app, name="token")
