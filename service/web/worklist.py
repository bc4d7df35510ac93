"""The worklist: newest first, narrowed by what an address may hold and by what it may not."""

from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, BeforeValidator, Field

from service.access import Principal
from service.api.dependencies import Cursor, Parts, Services, Viewer
from service.core.findings import Value
from service.views import StudyFilter, StudyFlag, StudyStatus, WorklistSearch
from service.web.pages import present
from service.web.words import Wording

_PAGE_SIZE = 50

#: What a form leaves empty is not wanted.
_OR_NOTHING = BeforeValidator(lambda value: value or None)
Text64 = Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]
Status = Annotated[StudyStatus | None, _OR_NOTHING]
Flag = Annotated[StudyFlag | None, _OR_NOTHING]
Day = Annotated[date | None, _OR_NOTHING]
Analysis = Annotated[str | None, _OR_NOTHING]
_ANALYSIS = r"^[a-z_]{0,64}$"
_TOKEN = r"^[A-Za-z0-9_-]{0,64}$"  # noqa: S105 - a pattern

router = APIRouter(include_in_schema=False)


class Narrowing(Value):
    """What an address of the worklist may hold; a patient is behind `search`."""

    status: StudyStatus | None = None
    flag: StudyFlag | None = None
    analysis: str | None = None
    from_: date | None = None
    to: date | None = None
    search: str | None = None

    def address(self, **changes: str | None) -> str:
        """The worklist's, with some of it otherwise."""
        told = {name.rstrip("_"): value for name, value in self.model_dump(mode="json").items()} | changes
        query = urlencode({name: value for name, value in told.items() if value})
        return f"/?{query}" if query else "/"


class SearchForm(BaseModel):
    """What the form sends."""

    patient: Text64 = ""
    accession: Text64 = ""
    status: Status = None
    flag: Flag = None
    analysis: Annotated[Analysis, Field(pattern=_ANALYSIS)] = None
    from_: Annotated[Day, Field(alias="from")] = None
    to: Day = None


async def read_narrowing(
    status: Annotated[Status, Query()] = None,
    flag: Annotated[Flag, Query()] = None,
    analysis: Annotated[Analysis, Query(pattern=_ANALYSIS)] = None,
    from_: Annotated[Day, Query(alias="from")] = None,
    to: Annotated[Day, Query()] = None,
    search: Annotated[str | None, Query(pattern=_TOKEN)] = None,
) -> Narrowing:
    """Of an address."""
    return Narrowing(status=status, flag=flag, analysis=analysis, from_=from_, to=to, search=search or None)


@router.get("/")
def worklist(
    parts: Parts,
    principal: Viewer,
    words: Wording,
    narrowing: Annotated[Narrowing, Depends(read_narrowing)],
    cursor: Cursor = None,
) -> Response:
    """Newest first."""
    search = None if narrowing.search is None else parts.searches.find(narrowing.search, principal=principal.name)
    page = parts.studies.worklist(_filter(narrowing, search), limit=_PAGE_SIZE, cursor=cursor)
    return present(
        "worklist.html",
        words=words,
        principal=principal,
        page=page,
        narrowing=narrowing,
        cursor=cursor,
        search=search or WorklistSearch(),
        has_ended=narrowing.search is not None and search is None,
        **_choices(parts, narrowing),
    )


@router.post("/search")
def search_worklist(parts: Parts, principal: Viewer, form: Annotated[SearchForm, Form()]) -> Response:
    """Keep what names a patient, and lead to an address that does not."""
    narrowing = Narrowing(**form.model_dump(include=set(Narrowing.model_fields)))
    return RedirectResponse(narrowing.address(search=_kept(parts, principal, form)), status_code=303)


def _kept(parts: Services, principal: Principal, form: SearchForm) -> str | None:
    wanted = WorklistSearch(patient=form.patient.strip() or None, accession_number=form.accession.strip() or None)
    is_empty = wanted == WorklistSearch()
    return None if is_empty else parts.searches.keep(wanted, principal=principal.name)


def _filter(narrowing: Narrowing, search: WorklistSearch | None) -> StudyFilter:
    return StudyFilter(
        patient=search and search.patient,
        accession_prefix=search and search.accession_number,
        status=narrowing.status,
        flag=narrowing.flag,
        analysis=narrowing.analysis,
        from_date=narrowing.from_,
        to_date=narrowing.to,
    )


def _choices(parts: Services, narrowing: Narrowing) -> dict[str, Any]:
    said: dict[StudyFlag | Literal[""], str] = {
        "": "All",
        StudyFlag.REVIEW: "Needs review",
        StudyFlag.FAILED: "Failed",
        StudyFlag.UNDELIVERED: "Undelivered",
    }
    return {
        "statuses": list(StudyStatus),
        "analyses": sorted({name for model in parts.models for name in model.analyses}),
        "tabs": [(narrowing.address(flag=flag), words, (narrowing.flag or "") == flag) for flag, words in said.items()],
    }
