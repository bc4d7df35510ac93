"""The languages that a report can be read in, by their tags (RFC 5646)."""

from typing import Literal, get_args

LanguageTag = Literal["en", "de"]
LANGUAGES: tuple[LanguageTag, ...] = get_args(LanguageTag)
