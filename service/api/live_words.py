"""Live guidance in the language of whoever examines: `?language=de` in the address of the socket."""

from starlette.websockets import WebSocket

from service.api.answers import answers_in
from service.core.languages import LANGUAGES
from service.core.live import Guidance
from service.core.render.language import ENGLISH, Language


def language_of_socket(websocket: WebSocket) -> Language:
    """Not by Accept-Language: a page says which language it is in. English without it, or for one that is not there."""
    wanted = websocket.query_params.get("language")
    return answers_in(next((tag for tag in LANGUAGES if tag == wanted), ENGLISH.tag))


def worded(guidance: Guidance, language: Language) -> Guidance:
    """Every sentence and title of it; what is there for programs stays."""
    if language is ENGLISH:
        return guidance
    shown = guidance.shown
    if shown is not None:
        faults = tuple(fault.model_copy(update={"text": language.text(fault.text)}) for fault in shown.faults)
        shown = shown.model_copy(update={"title": language.text(shown.title), "faults": faults})
    ticks = tuple(tick.model_copy(update={"title": language.text(tick.title)}) for tick in guidance.checklist)
    return guidance.model_copy(update={"shown": shown, "advice": language.text(guidance.advice), "checklist": ticks})
