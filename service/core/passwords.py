"""Which passwords are taken, and how failed attempts are slowed down (NIST SP 800-63B 5.1.1.2 and 5.2.2)."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import timedelta

from service.errors import InputRejected

SHORTEST, LONGEST = 12, 128
#: So much must be left when everything easily guessed is counted as one character.
_LEAST_LEFT = 8
#: What many passwords are made of, and the words of this place; in lower case and plain letters.
_COMMON = (
    "password", "passwort", "passwd", "passphrase", "letmein", "welcome", "willkommen", "changeme", "iloveyou", "administrator",
    "admin", "default", "secret", "login", "master", "dragon", "monkey", "shadow", "sunshine", "princess", "football", "baseball",
    "superman", "batman", "trustno", "spring", "summer", "autumn", "winter", "monday", "friday", "hello", "test", "user", "guest",
    "temp", "hospital", "clinic", "radiology", "radiologist", "ultrasound", "viewer", "doctor", "dicom", "pacs", "sonomyo",
)  # fmt: skip
#: Rows of keys, and signs that follow one another; also read backwards.
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")
_BOTH_WAYS = (*_ROWS, *(row[::-1] for row in _ROWS))
#: A shorter piece of a row, or of a name, may stand there by chance.
_SHORTEST_RUN, _SHORTEST_OWN = 4, 3
_LOOKALIKES = str.maketrans("@4310!5$7", "aaeloisst")
_ONE = "\0"
_REPEATED = re.compile(r"(.+?)\1+")

#: Failures in a row that cost nothing, for fingers slip.
FREE_FAILURES = 5
LONGEST_PAUSE = timedelta(minutes=5)
#: After so long without a failure the count begins again.
FAILURES_FORGOTTEN_AFTER = timedelta(days=1)


def normalised(password: str) -> str:
    """The same characters however a keyboard sends them: NFKC (SP 800-63B 5.1.1.2), before it is judged or hashed."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *, own: Iterable[str]) -> None:
    """Raises InputRejected when it is too short, too long or easily guessed; `own` are the person's login and name.

    There is no rule of composition. Lengths are counted in code points.
    """
    text = normalised(password)
    if len(text) < SHORTEST:
        raise InputRejected(f"A password has at least {SHORTEST} characters; several words make a good one.", reason="password")
    if len(text) > LONGEST:
        raise InputRejected(f"A password has at most {LONGEST} characters.", reason="password")
    if _left_of(text.casefold(), own) < _LEAST_LEFT:
        said = "This password is easily guessed: it is made of your name, common words, rows of keys or repetitions."
        raise InputRejected(f"{said} Several words that do not belong together make a good one.", reason="password")


def pause_after(failures: int) -> timedelta:
    """How long to wait after so many failed attempts in a row: nothing at first, then 1 s doubling to five minutes."""
    if failures <= FREE_FAILURES:
        return timedelta()
    doublings = min(failures - FREE_FAILURES - 1, 16)  # far beyond the longest, and no number too large for a timedelta
    return min(timedelta(seconds=2**doublings), LONGEST_PAUSE)


def _left_of(text: str, own: Iterable[str]) -> int:
    """The number of characters when each row of keys, common word and repetition counts as one."""
    plain = _without_rows(text).translate(_LOOKALIKES)
    words = sorted({*_COMMON, *_words_of(own)}, key=len, reverse=True)
    return len(_REPEATED.sub(r"\1", re.sub("|".join(map(re.escape, words)), _ONE, plain)))


def _without_rows(text: str) -> str:
    left, at = "", 0
    while at < len(text):
        run = _run_at(text, at)
        left, at = (left + _ONE, at + run) if run >= _SHORTEST_RUN else (left + text[at], at + 1)
    return left


def _run_at(text: str, at: int) -> int:
    """The length of the longest piece of a row that begins there."""
    length = 0
    while at + length < len(text) and any(text[at : at + length + 1] in row for row in _BOTH_WAYS):
        length += 1
    return length


def _words_of(own: Iterable[str]) -> Iterator[str]:
    """A login or name, whole, in words and backwards, as a password is read."""
    for text in own:
        plain = normalised(text).casefold().translate(_LOOKALIKES)
        for word in (plain, *re.split(r"\W+|_", plain)):
            if len(word) >= _SHORTEST_OWN:
                yield from (word, word[::-1])
