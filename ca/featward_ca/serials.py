"""Serial numbers of certificates: the one form that is stored, logged and sent, and the reading of what
people type.
"""

import string

from featward_ca.errors import MalformedRequestError

_HEX = frozenset(string.hexdigits)
# RFC 5280 4.1.2.2: twenty bytes at most.
_LONGEST = 40


def serial_text(serial: int) -> str:
    """A serial number as stored, logged and sent: lower-case hex, an even number of digits."""
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big").hex()


def read_serial(text: str) -> int:
    """A serial number in hex, from the forms that other programs print: upper case, `0x` or `serial=`
    before it, colons or spaces between, zeros in front. Raises MalformedRequestError.
    """
    bare = "".join(text.split()).replace(":", "").lower()
    digits = bare.removeprefix("serial=").removeprefix("0x").lstrip("0")
    if not 0 < len(digits) <= _LONGEST or not _HEX.issuperset(digits):
        raise MalformedRequestError(
            f"{text!r} is no serial number: expected its hexadecimal digits, {_LONGEST} at most, as"
            " openssl x509 -serial prints them"
        )
    return int(digits, 16)
