"""Cines of one simulated person's trapezius, sent by a real peer, become a report that says what its probability rests on."""

import pytest

from simulator.write import simulate
from tests.e2e.sending import findings, send, study_of
from tests.running import RunningService

#: Of one person: both sides, two sites each.
CINES = 4
STATED = "simulation-trained, not validated in people"


@pytest.fixture(scope="module")
def study(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of one person, all cines sent."""
    cines = list(simulate("trapezius", tmp_path_factory.mktemp("trapezius"), n=CINES, seed=1, transfer_syntax="jpeg"))
    for path in cines:
        send(service, path)
    (sent,) = {study_of(path) for path in cines}
    service.complete(sent)
    return sent


def test_study_of_trapezius_cines_sent_by_c_store_ends_in_one_probability_that_says_what_it_rests_on(
    service: RunningService, study: str
) -> None:
    report = service.report(study)
    each = findings(report, "myofascial_pain_probability")
    (together,) = findings(report, "myofascial_pain_probability_of_study")
    assert len(each) == CINES
    for finding in (*each, together):
        assert finding["interval"]["low"] < finding["value"] < finding["interval"]["high"]
        assert finding["value"] == finding["probability"]
        assert finding["flags"] == ["simulation_trained"]
        assert STATED in finding["text"]
        assert (finding["model"]["name"], finding["model"]["evidence"]) == ("myofascial_pain", "simulated")
        assert finding["model"]["pretraining"]
    assert len({finding["value"] for finding in each}) == CINES, "cines of different sites differ"
    assert findings(report, "thickness") == []
    assert any(STATED in limitation for limitation in report["limitations"])
    page = service.api.get(f"/api/v1/studies/{study}/report", headers={"Accept": "text/html"}).text
    assert STATED in page
    assert f"pretrained by {together['model']['pretraining']}" in page


def test_the_same_cine_analysed_again_gives_the_same_probability(service: RunningService, study: str) -> None:
    first = service.report(study)
    service.api.post(f"/api/v1/studies/{study}/reanalyse").raise_for_status()
    service.complete(study)
    again = service.report(study, version=first["version"] + 1)
    values = [
        {one["evidence"]["sop_instance_uid"]: one["value"] for one in findings(report, "myofascial_pain_probability")}
        for report in (first, again)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
