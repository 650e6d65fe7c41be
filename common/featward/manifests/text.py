"""The texts that manifests are made of: names, dates, durations, rates, each with its grammar.

In the models they stay texts, as a CRD's schema has them, because a structural schema knows no richer types.
What a text means is read here, once, by the functions at the end. Every grammar comes with a sentence of what
was expected, because a bare pattern helps nobody who got it wrong.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, TypeAlias

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, StringConstraints

EXPECTED: dict[str, str] = {}


def _text(pattern: str, expected: str, longest: int = 253) -> StringConstraints:
    EXPECTED[pattern] = expected
    return StringConstraints(pattern=pattern, min_length=1, max_length=longest)


def day_after(day: str) -> int:
    """The first second (Unix, UTC) after this day, through which a thing dated so still holds."""
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    return int((midnight + timedelta(days=1)).timestamp())


def second_of(moment: str) -> int:
    """``2026-11-23T18:00:00Z`` in Unix seconds."""
    return int(datetime.fromisoformat(moment).timestamp())


@lru_cache(maxsize=1024)
def seconds(duration: str) -> int:
    """``1h30m`` is 5400."""
    return sum(
        int(amount) * _UNITS[unit] for amount, unit in re.findall(r"([0-9]+)([dhms])", duration)
    )


def in_text(duration: float) -> str:
    """Seconds as a manifest says them, in the largest unit that divides them: 604,800 is ``7d``."""
    unit = next((one for one in "dhm" if duration and duration % _UNITS[one] == 0), "s")
    return f"{duration / _UNITS[unit]:g}{unit}"


def rate_parts(rate: str) -> tuple[int, int]:
    """``10000/m`` is (10000, 60): an amount in so many seconds."""
    amount, _, unit = rate.partition("/")
    return int(amount), _UNITS[unit]


@lru_cache(maxsize=4096)
def version_in(version: str, version_range: str) -> bool:
    """Whether a feature set's version is in a binding's range; pre-releases count as versions."""
    return SpecifierSet(version_range).contains(Version(version), prereleases=True)


@lru_cache(maxsize=4096)
def _check_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("expected a day of the calendar such as 2027-03-31") from error
    return text


def _check_moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("expected a moment such as 2026-11-23T18:00:00Z") from error
    return text


def _check_duration(text: str) -> str:
    if not 0 < seconds(text) <= LONGEST_DURATION:
        raise ValueError("expected more than nothing and at most 100 years")
    return text


def _check_version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion as error:
        raise ValueError("expected a version such as 1.2.0") from error
    return text


@lru_cache(maxsize=4096)
def _check_range(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError("expected a version range such as >=1.2,<2") from error
    return text


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_DURATION = 100 * 366 * 86400
"""In seconds. So that no sum of a time and a duration leaves what a date can hold."""
# For the same reason no year begins with a 9; one with a 0 is a slip of the pen.
_DAY = "[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}"

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_REFERENCE_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]*"

Label: TypeAlias = Annotated[
    str,
    _text(
        f"^{_LABEL}$",
        "lower-case letters, digits and '-' inside, at most 63, such as pricing",
        longest=63,
    ),
]
Name: TypeAlias = Annotated[
    str,
    _text(
        rf"^{_LABEL}(\.{_LABEL})*$",
        "lower-case letters, digits, and '-' or '.' inside, such as driver-stats",
    ),
]
BusinessUnitName: TypeAlias = Annotated[
    str,
    _text(
        rf"^{_LABEL}\.{_LABEL}$",
        "the environment and the unit with a dot between, such as prod.payments",
        longest=127,
    ),
]
BusinessUnitChoice: TypeAlias = Annotated[
    str,
    _text(
        rf"^(\*|{_LABEL}\.{_LABEL})$",
        'a business unit such as prod.payments, or "*" for any',
        longest=127,
    ),
]
TrustDomainName: TypeAlias = Annotated[
    str,
    _text(
        "^[a-z0-9._-]+$",
        "a trust domain of a-z, 0-9, '.', '-' and '_', such as prod.acme.example",
        255,
    ),
]
SpiffeIdText: TypeAlias = Annotated[
    str,
    _text(
        "^spiffe://[^/]+/.+$",
        "a full SPIFFE ID, such as spiffe://prod.acme.example/bu/payments/svc/api",
        2048,
    ),
]
FeatureName: TypeAlias = Annotated[
    str,
    _text(
        f"^{_REFERENCE_PART}:{_REFERENCE_PART}$",
        "a view and a column with a colon between, without a version, such as driver_hourly_stats:conv_rate",
    ),
]
ColumnName: TypeAlias = Annotated[
    str, _text(f"^{_REFERENCE_PART}$", "letters, digits, '_', '.' and '-', such as driver_id")
]
Line: TypeAlias = Annotated[
    str,
    _text(r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$", "one line of text", longest=256),
]
UserName: TypeAlias = Annotated[
    str,
    _text(
        r"^([a-z_][a-z0-9_.-]*\$?|[0-9]{1,10})$",
        'a user\'s name or number, such as pricing or "1000"',
        32,
    ),
]
HostName: TypeAlias = Annotated[
    str,
    _text(
        r"^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]?)$",
        "a host name or an IP address, such as 127.0.0.1",
    ),
]
Address: TypeAlias = Annotated[
    str,
    _text(
        r"^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]*:[0-9a-fA-F:.]*\])"
        r":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$",
        "a host and a port with a colon between, such as 127.0.0.1:15443",
    ),
]
HttpsUrl: TypeAlias = Annotated[
    str,
    _text(
        r"^https://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]*:[0-9a-fA-F:.]*\])(:[0-9]{1,5})?"
        r"(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*/?$",
        "an address that begins with https:// and has no query, such as https://ci.acme.example",
        longest=1024,
    ),
]
Day: TypeAlias = Annotated[
    str,
    _text(f"^{_DAY}$", "a day of the calendar such as 2027-03-31", longest=10),
    AfterValidator(_check_day),
]
Moment: TypeAlias = Annotated[
    str,
    _text(
        f"^{_DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
        "a moment in UTC such as 2026-11-23T18:00:00Z",
        longest=20,
    ),
    AfterValidator(_check_moment),
]
# Each unit once, and so few digits that no sum of them passes the 292 years of an API server's durations, which
# would begin anew below zero.
Duration: TypeAlias = Annotated[
    str,
    _text(
        "^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$",
        "a duration of numbers with d, h, m and s, in this order, such as 90d or 1h30m",
        longest=40,
    ),
    AfterValidator(_check_duration),
]
BindingDigest: TypeAlias = Annotated[
    str,
    _text(
        "^sha256:[0-9a-f]{64}$",
        "sha256: and 64 hexadecimal digits, as `featward approve` prints them",
        longest=71,
    ),
]
Rate: TypeAlias = Annotated[
    str,
    _text(
        "^[1-9][0-9]{0,11}/[smhd]$", "an amount for each s, m, h or d, such as 10000/m", longest=14
    ),
]
VersionText: TypeAlias = Annotated[
    str,
    _text("^[0-9][0-9A-Za-z.+-]*$", "a version such as 1.2.0", longest=64),
    AfterValidator(_check_version),
]
VersionRange: TypeAlias = Annotated[
    str,
    _text("^[0-9A-Za-z.+*!~=<>, -]+$", "a version range such as >=1.2,<2", longest=256),
    AfterValidator(_check_range),
]
