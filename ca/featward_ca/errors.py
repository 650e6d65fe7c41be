"""Everything that the CA raises on purpose.

    CaError
      ConfigurationError        start is refused; the text says what to change
        KeyEncryptionError      the key-encryption key is missing, exposed or not the right one
      RequestError              the caller's fault or state; told to the caller as it stands
        MalformedRequestError   the request can't be read or asks for what no profile allows
        NotAttestedError        the evidence does not hold; the text is the same for every reason
        EvidenceNeededError     this workload has to show its evidence again
        NotPermittedError       the caller may not call this, or not for this identity
        SvidClonedError         two keys claim to be the successor of one SVID
        LaterError              waiting helps, and for how long
          TooManyRequestsError  a limit is reached
          IssuanceHaltedError   an administrator has stopped issuing
          ClockSkewError        the CA's clock is behind its last signature
          StoppingError         the CA is going away; another connection finds the next one
        UnknownWorkloadError    the manifests have no such workload
        UnknownBanError         there is no such ban
        UnknownNameError        the manifests have no cluster or business unit of this name
        UnknownAuthorityError   no authority or rotation has this name
        UnknownSerialError      no SVID of that serial is stored
        IllegalTransitionError  an authority or a rotation is not in a state for this
        NotHereError            this CA can't do it, and the text says who can or why not
      IssuanceError             a certificate could not be made; the caller is told no detail
        NoAuthorityError        nobody may sign for this owner right now; trying again may help
        LintError               the checker found what the builder should not have written
        TokenSpentError         a permission to sign was used twice or for another authority
      FederationError           a foreign trust domain's bundle can't be fetched or read
      StoreError                the store refused or failed; trying again may help

`NotAttestedError` and `NotPermittedError` carry a `reason` for the log and the audit table that the
caller never sees.
"""

from featward.errors import FeatwardError

# A person ends it, so nobody needs to ask by the second.
_HALTED_SECONDS = 30.0


class CaError(FeatwardError):
    """Base of the CA's errors; its text is one sentence without secrets."""


class ConfigurationError(CaError):
    """A setting, a folder or the manifests make it impossible to start."""


class KeyEncryptionError(ConfigurationError):
    """The key-encryption key is missing, readable by others, or does not open the stored keys."""


class RequestError(CaError):
    """The request is refused, and the caller may know why."""


class MalformedRequestError(RequestError):
    """The request can't be read, or its key or size is not acceptable."""


class NotAttestedError(RequestError):
    """The evidence does not prove the identity."""

    def __init__(self, reason: str) -> None:
        super().__init__("the evidence was not accepted")
        self.reason = reason


class EvidenceNeededError(RequestError):
    """Renewal by the current SVID is not for this workload, or no longer."""


class NotPermittedError(RequestError):
    """The table of calls does not list this caller, or its identity is banned."""

    def __init__(self, reason: str) -> None:
        super().__init__("the caller may not make this call")
        self.reason = reason


class SvidClonedError(RequestError):
    """The SVID was renewed before, for another key: one of the two holders is not the workload."""


class LaterError(RequestError):
    """The same request will do after `retry_after` seconds; the caller is told so."""

    def __init__(self, text: str, retry_after: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooManyRequestsError(LaterError):
    """A limit on rate, size or concurrency is reached."""


class IssuanceHaltedError(LaterError):
    """An administrator has stopped issuing: `featward ca halt`."""

    def __init__(self, text: str) -> None:
        super().__init__(text, _HALTED_SECONDS)


class ClockSkewError(LaterError):
    """The clock is behind the last signature, so a certificate made now would have a wrong life."""


class StoppingError(LaterError):
    """The CA is being stopped."""


class UnknownSerialError(RequestError):
    """No SVID of that serial is stored: it was never issued, or ended long ago."""


class UnknownWorkloadError(RequestError):
    """No Workload of that name is in the manifests."""


class UnknownNameError(RequestError):
    """The Environment has no such cluster, or no such business unit."""


class UnknownBanError(RequestError):
    """No ban has that id."""


class UnknownAuthorityError(RequestError):
    """No authority, owner or rotation of that name is in the store."""


class IllegalTransitionError(RequestError):
    """What was asked for is no step from the state that an authority or a rotation is in."""


class NotHereError(RequestError):
    """This CA can't do it as it is set up."""


class IssuanceError(CaError):
    """A certificate could not be made."""


class NoAuthorityError(IssuanceError):
    """An owner has no authority that is in force: it is being made, or it has expired."""


class LintError(IssuanceError):
    """The checker refused what the builder made; every finding is in the text."""


class TokenSpentError(IssuanceError):
    """A permission to sign was redeemed before, or by another authority than it was given for."""


class FederationError(CaError):
    """The bundle of a foreign trust domain could not be fetched, or what came is no bundle."""


class StoreError(CaError):
    """The store could not do it: busy, full, locked or damaged."""
