"""Join tokens: what a workload reads from a file, and the secret that the CA gets from strangers."""

from featward.identity.join_token import JoinToken, JoinTokenError, secret_of


def one(data: bytes) -> None:
    """A text is refused with JoinTokenError, or is the one spelling of what it says."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        token = JoinToken.parse(text)
    except JoinTokenError:
        pass
    else:
        assert str(token) == text.strip()
        assert secret_of(token.evidence) == token.secret
    try:
        secret = secret_of(text)
    except JoinTokenError:
        return
    assert len(secret) == 32
