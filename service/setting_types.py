"""What settings are made of."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

#: A quarter of a year at most: what the operating system's timers take, and no infinity.
Seconds = Annotated[float, Field(gt=0, le=7_776_000)]
Port = Annotated[int, Field(ge=1, le=65535)]
#: 0 takes a free one.
ListeningPort = Annotated[int, Field(ge=0, le=65535)]


def _ae_title(text: str) -> str:
    """PS3.5 6.2, AE: up to 16 characters of the default repertoire, spaces at both ends without meaning."""
    title = text.strip(" ")
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", title):
        raise ValueError("an AE title has 1 to 16 ASCII characters, none of them a backslash or a control character")
    return title


AeTitle = Annotated[str, AfterValidator(_ae_title)]


class Section(BaseModel):
    """A frozen group of settings; unknown names stop the start, and what is refused is not repeated, for it may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
