"""Where somebody wanted to go before signing in: an id of a page and of what it shows, never an address.

`/sign-in?page=study&study=1.2.3` leads to `/studies/1.2.3`. The ids stand in the address and not in a cookie, so that two tabs
that wait for the same person do not lead to each other's patient.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

#: What pages show, by what an id of it looks like.
_IDS: Mapping[str, str] = {"study": r"[0-9.]{1,64}", "report": r"[0-9a-f-]{1,64}"}
#: The addresses of pages, by the id of the page.
_PAGES: Mapping[str, str] = {
    "worklist": "/",
    "live": "/live",
    "operations": "/operations",
    "associations": "/operations/associations",
    "users": "/users",
    "audit": "/audit",
    "account": "/account",
    "docs": "/docs",
    "study": "/studies/{study}",
    "draft": "/studies/{study}?version=draft",
    "review": "/studies/{study}/review",
    "report": "/api/v1/reports/{report}",
    "ohif": "/ohif/viewer?StudyInstanceUIDs={study}",
}


def _pattern(address: str) -> re.Pattern[str]:
    return re.compile(re.escape(address).replace(r"\{", "{").replace(r"\}", "}").format(**_GROUPS))


_GROUPS = {name: f"(?P<{name}>{pattern})" for name, pattern in _IDS.items()}
_READ = {page: _pattern(address) for page, address in _PAGES.items()}


@dataclass(frozen=True, slots=True)
class WayBack:
    """Ids as they came; what is unknown or does not fit leads to the worklist."""

    page: str = ""
    study: str = ""
    report: str = ""

    @classmethod
    def of(cls, path: str, query: str = "") -> Self:
        """Back to an address of this site; a query that is not part of a page's address is left out."""
        for address in (f"{path}?{query}", path):
            for page, pattern in _READ.items():
                if found := pattern.fullmatch(address):
                    return cls(page, **found.groupdict())
        return cls()

    @property
    def ids(self) -> Mapping[str, str]:
        """For an address or a form; nothing of the worklist, where everybody goes who wants nothing else."""
        return {} if self.address == "/" else {name: value for name, value in asdict(self).items() if value}

    @property
    def address(self) -> str:
        """Of the page that is meant, or of the worklist."""
        made = _PAGES.get(self.page, "/").format(study=self.study, report=self.report)
        return made if self.page in _READ and _READ[self.page].fullmatch(made) else "/"
