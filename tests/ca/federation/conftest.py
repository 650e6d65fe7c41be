"""A machine that trusts one authority of the Web."""

from pathlib import Path

import pytest

from federation_kit import Web


@pytest.fixture
def trusted_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The machine trusts this root of the Web and no other."""
    made = Web.make(tmp_path / "web")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.roots))
    return made
