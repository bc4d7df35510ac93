"""Models as they are served."""

from fastapi import APIRouter

from service.api.dependencies import Model, Parts, Services, Viewer
from service.api.schemas import ModelState, ModelStates, ShadowComparisons, problem_responses
from service.errors import SonomyoError

router = APIRouter(prefix="/api/v1/models", tags=["models"], responses=problem_responses(401, 403, 429, 503))


@router.get("")
def list_models(parts: Parts, principal: Viewer) -> ModelStates:
    """Model, version, weights, evidence and readiness."""
    del principal
    return model_states(parts)


def model_states(parts: Services) -> ModelStates:
    """As they are now."""
    return ModelStates(models=tuple(_state(model) for model in parts.models))


@router.get("/shadow")
def compare_shadow_models(parts: Parts, principal: Viewer) -> ShadowComparisons:
    """What models in shadow mode say beside the served ones; no report holds any of it."""
    del principal
    return ShadowComparisons(comparisons=parts.operations.shadow_comparisons())


def _state(model: Model) -> ModelState:
    analyses = tuple(model.analyses)
    try:
        used = model.describe()
    except SonomyoError as error:
        return ModelState(name=model.name, version=model.version, analyses=analyses, ready=False, problem=str(error))
    return ModelState(
        name=used.name,
        version=used.version,
        sha256=used.sha256,
        evidence=used.evidence,
        pretraining=used.pretraining,
        runtime=used.runtime,
        precision=used.precision,
        analyses=analyses,
        ready=True,
    )
