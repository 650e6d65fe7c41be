"""Certificates that were made elsewhere: a ceremony's, an import's, one that somebody found."""

from contextlib import suppress

from featward_ca import linter, reading
from featward_ca.errors import LintError, MalformedRequestError
from featward_ca.profile import Purpose, SubjectName
from featward_ca.rotation.imports import order_of


def one(data: bytes) -> None:
    """It is refused with MalformedRequestError or LintError, or it is as ours would be."""
    try:
        certificate = reading.certificate(data)
        order = order_of(certificate, Purpose.ROOT, SubjectName("root", "prod.acme.example"))
    except MalformedRequestError:
        return
    with suppress(LintError):
        linter.lint(certificate, order, None, None)
