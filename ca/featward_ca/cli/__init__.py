"""`featward ca …`: the commands, one module for each group of them.

The modules hold wiring and nothing else: what a command needs is imported when it runs, because
all of them are imported for every `--help`.
"""

import typer

from featward_ca.cli import (
    audit,
    authority,
    bans,
    ceremony,
    clients,
    compromise,
    fetch,
    halt,
    recover,
    serve,
    status,
    store,
    token,
)

app = typer.Typer(no_args_is_help=True, help="Run and look after the certificate authority.")
app.command("serve")(serve.serve)
app.command("status")(status.status)
app.command("clients")(clients.clients)
app.command("fetch-svid")(fetch.fetch_svid)
app.command("halt")(halt.halt)
app.command("resume")(halt.resume)
app.command("why-expiry")(audit.why_expiry)
app.command("check-issued")(audit.check_issued)
app.command("compromise")(compromise.compromise)
app.add_typer(authority.app, name="authority")
app.add_typer(ceremony.app, name="ceremony")
app.command("backup")(store.backup)
app.command("restore")(store.restore)
app.add_typer(recover.app, name="recover")
app.add_typer(token.app, name="token")
app.add_typer(bans.app, name="ban")
