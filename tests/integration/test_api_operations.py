"""Jobs and their dead letters, readiness, figures, associations, models and destinations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from service.access import Role
from service.adapters.jobs import make_deferring_app
from service.adapters.postgres import make_engine, make_unit_of_work_factory
from service.destination_settings import WebhookDestinationSettings
from service.errors import InputRejected, ModelContractError, Unavailable
from service.ports import UnitOfWorkFactory
from tests.integration.api_parts import STUDY, House, dicom_file, reported, upload


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path) as made:
        yield made


def test_health_answers_anyone(house: House) -> None:
    answer = house.client(None).get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "service_version": "test"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_and_readiness_answer_a_load_balancers_head_without_a_body(house: House, path: str) -> None:
    answer = house.client(None).head(path)
    assert (answer.status_code, answer.content) == (house.client(None).get(path).status_code, b"")


def test_readiness_names_each_part_and_tells_why_to_those_who_are_signed_in(house: House) -> None:
    def refuse() -> None:
        raise ModelContractError("muscle_segmentation: output masks is FP32, UINT8 is expected")

    house.probes |= {"database": lambda: None, "storage": lambda: None, "model muscle_segmentation": refuse}
    answer = house.client(None).get("/readyz")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    checks = [{"name": "database", "ready": True}, {"name": "storage", "ready": True}]
    assert answer.json()["checks"] == [*checks, {"name": "model muscle_segmentation", "ready": False}]
    assert answer.json()["detail"] == "Not ready: model muscle_segmentation."
    told = house.client().get("/readyz").json()["checks"][2]
    assert told["problem"] == "muscle_segmentation: output masks is FP32, UINT8 is expected"


def test_readiness_without_trouble_is_ready(house: House) -> None:
    house.probes |= {"database": lambda: None}
    answer = house.client(None).get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)


def test_dead_analysis_is_shown_and_requeued_into_a_new_report(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    job_id = house.kill_job("analyse_instance")
    house.flow.give_up_analysis(1, "muscle_architecture", "triton: The inference server does not answer.")
    client.post(f"/api/v1/studies/{STUDY}/complete")
    house.work()
    first = client.get(f"/api/v1/studies/{STUDY}/report").json()
    assert (first["version"], first["findings"]) == (1, [])
    (dead,) = client.get("/api/v1/jobs", params={"state": "dead"}).json()["jobs"]
    assert (dead["job_id"], dead["task"]) == (job_id, "analyse_instance")
    assert dead["failure"] == "triton: The inference server does not answer."
    again = client.post(f"/api/v1/jobs/{job_id}/requeue")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (202, "queued", 0)
    house.work()
    second = client.get(f"/api/v1/studies/{STUDY}/report").json()
    assert (second["version"], [finding["value"] for finding in second["findings"]]) == (2, [7.0])
    assert client.get("/api/v1/jobs", params={"state": "dead"}).json()["jobs"] == []


def test_dead_delivery_is_requeued_and_arrives_once(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    client.post(f"/api/v1/studies/{STUDY}/complete")
    down = True

    def answer() -> None:
        if down:
            raise Unavailable("PACS does not answer.")

    house.destination.before = answer
    with pytest.raises(Unavailable):
        house.work()
    report_id = client.get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    house.flow.give_up_delivery(report_id, "pacs", "sr", "unavailable: PACS does not answer.", final=True)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'doing'"))
    (dead,) = client.get("/api/v1/jobs", params={"state": "dead"}).json()["jobs"]
    assert client.get("/api/v1/studies").json()["studies"][0]["undelivered"] == 1
    down = False
    client.post(f"/api/v1/jobs/{dead['job_id']}/requeue").raise_for_status()
    house.work()
    assert len(house.destination.received) == 1
    assert client.get("/api/v1/studies").json()["studies"][0]["undelivered"] == 0


def refused_delivery(house: House) -> dict[str, Any]:
    """A study whose SR the destination would not take."""

    def refuse() -> None:
        raise InputRejected("The peer does not take it (0xC000).")

    house.destination.before = refuse
    client = reported(house)
    house.destination.before = lambda: None
    (delivery,) = client.get("/api/v1/deliveries", params={"state": "refused"}).json()["deliveries"]
    assert (delivery["study_instance_uid"], delivery["destination"]) == (STUDY, "pacs")
    return dict(delivery)


@pytest.mark.parametrize("by", ["delivery", "job", "delivery whose job is forgotten"])
def test_refused_delivery_is_sent_again_by_a_new_job_on_record(house: House, by: str) -> None:
    delivery = refused_delivery(house)
    client = house.client()
    (job,) = client.get("/api/v1/jobs", params={"task": "deliver_report"}).json()["jobs"]
    if by == "delivery whose job is forgotten":
        with house.engine.begin() as connection:
            connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": job["job_id"]})
    which = f"jobs/{job['job_id']}" if by == "job" else f"deliveries/{delivery['delivery_id']}"
    again = client.post(f"/api/v1/{which}/requeue")
    assert (again.status_code, again.json()["state"]) == (202, "queued")
    assert again.json()["job_id"] != job["job_id"]
    assert client.post(f"/api/v1/{which}/requeue").status_code == 409
    house.work()
    assert len(house.destination.received) == 1
    (now,) = client.get("/api/v1/deliveries").json()["deliveries"]
    assert (now["state"], now["delivery_id"]) == ("delivered", delivery["delivery_id"])
    assert client.post(f"/api/v1/deliveries/{delivery['delivery_id']}/requeue").status_code == 409
    (entry,) = [entry for entry in client.get("/api/v1/audit").json()["entries"] if entry["action"] == "delivery_requeued"]
    assert (entry["actor"], entry["subject"], entry["detail"]["was"]) == ("key:settings", delivery["report_id"], "refused")


def test_dead_delivery_is_sent_again_by_its_own_job(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    client.post(f"/api/v1/studies/{STUDY}/complete")

    def away() -> None:
        raise Unavailable("PACS does not answer.")

    house.destination.before = away
    with pytest.raises(Unavailable):
        house.work()
    report_id = client.get(f"/api/v1/studies/{STUDY}/report").json()["report_id"]
    house.flow.give_up_delivery(report_id, "pacs", "sr", "unavailable", final=True)
    with house.engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'doing'"))
    house.destination.before = lambda: None
    (failed,) = client.get("/api/v1/deliveries", params={"state": "failed"}).json()["deliveries"]
    client.post(f"/api/v1/deliveries/{failed['delivery_id']}/requeue").raise_for_status()
    assert client.get("/api/v1/jobs", params={"state": "dead"}).json()["jobs"] == []
    house.work()
    assert len(house.destination.received) == 1


def test_delivery_given_up_is_on_record_waits_for_nobody_and_can_be_taken_up_again(house: House) -> None:
    delivery = refused_delivery(house)
    client = house.client()
    path = f"/api/v1/deliveries/{delivery['delivery_id']}"
    assert client.post(f"{path}/abandon", json={}).status_code == 422
    assert client.post("/api/v1/deliveries/4711/abandon", json={"reason": "no such"}).status_code == 404
    given_up = client.post(f"{path}/abandon", json={"reason": "the PACS was replaced"})
    assert (given_up.status_code, given_up.json()["state"]) == (200, "abandoned")
    assert client.post(f"{path}/abandon", json={"reason": "once more"}).status_code == 409
    assert client.get("/api/v1/studies").json()["studies"][0]["undelivered"] == 0
    (entry,) = [entry for entry in client.get("/api/v1/audit").json()["entries"] if entry["action"] == "delivery_abandoned"]
    assert (entry["detail"]["reason"], entry["detail"]["was"]) == ("the PACS was replaced", "refused")
    client.post(f"{path}/requeue").raise_for_status()
    house.work()
    assert len(house.destination.received) == 1


def test_waiting_delivery_given_up_is_not_sent(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    house.work()
    house.flow.request_report(STUDY)
    house.flow.complete_study(STUDY)
    house.flow.compose_report(STUDY)
    (delivery,) = client.get("/api/v1/deliveries", params={"state": "pending"}).json()["deliveries"]
    client.post(f"/api/v1/deliveries/{delivery['delivery_id']}/abandon", json={"reason": "not wanted"}).raise_for_status()
    house.work()
    assert house.destination.received == []


@pytest.mark.parametrize("path", ["/api/v1/deliveries/1/requeue", "/api/v1/deliveries/1/abandon"])
def test_delivery_is_handled_by_administrators_only(house: House, path: str) -> None:
    assert house.client(house.key(Role.VIEWER)).post(path, json={"reason": "not mine"}).status_code == 403


def test_job_that_is_not_dead_cannot_be_requeued(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    job = client.get("/api/v1/jobs", params={"task": "analyse_instance"}).json()["jobs"][0]
    answer = client.post(f"/api/v1/jobs/{job['job_id']}/requeue")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sonomyo:problem:job_not_dead")


def test_jobs_page_newest_first(house: House) -> None:
    client = reported(house)
    first = client.get("/api/v1/jobs", params={"limit": 2}).json()
    second = client.get("/api/v1/jobs", params={"limit": 500, "cursor": first["next_cursor"]}).json()
    ids = [job["job_id"] for page in (first, second) for job in page["jobs"]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(house.rows("SELECT id FROM procrastinate_jobs"))
    assert second.get("next_cursor") is None


def test_job_scheduled_for_later_is_told_from_one_that_waits(house: House) -> None:
    client = house.client()
    upload(client, dicom_file())
    states = {job["task"]: job["state"] for job in client.get("/api/v1/jobs").json()["jobs"]}
    assert states == {"analyse_instance": "queued", "complete_study": "scheduled"}


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs/0", "/api/v1/jobs/9223372036854775808", "/api/v1/jobs/x", "/api/v1/jobs?task=%00"]
)
def test_job_that_cannot_be_is_a_problem(house: House, path: str) -> None:
    assert house.client().get(path).status_code == 422


def test_models_and_destinations_are_listed(house: House) -> None:
    client = reported(house)
    (model,) = client.get("/api/v1/models").json()["models"]
    assert (model["name"], model["ready"], model["evidence"], model["sha256"]) == ("muscle_segmentation", True, "real", "ab" * 32)
    (destination,) = client.get("/api/v1/destinations").json()["destinations"]
    assert (destination["name"], destination["ae_title"], destination["deliveries"]) == ("pacs", "PACS", {"delivered": 1})


def test_webhook_is_listed_without_its_secret_and_path(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> None:
    given = {
        "protocol": "webhook",
        "name": "hook",
        "url": "https://hook.example:8443/Canary",
        "secret": f"whsec_{'Canary00' * 4}",
        "allowed_addresses": ["192.0.2.7"],
    }
    settings = WebhookDestinationSettings.model_validate(given)
    with House(engine=engine, units=units, root=tmp_path, destination_settings=(settings,)) as house:
        answer = house.client().get("/api/v1/destinations")
    (told,) = answer.json()["destinations"]
    assert (told["protocol"], told["address"], told["kinds"]) == ("webhook", "https://hook.example:8443", ["notice"])
    assert (told["tls"], told["host"], told["port"], told["ae_title"]) == (True, None, None, None)
    assert "Canary" not in answer.text


def test_associations_tell_what_was_refused_and_why(house: House) -> None:
    with house.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO associations (listener, peer_address, calling_ae_title, outcome, reason, closed_at) VALUES "
                "('here', '10.0.0.1', 'PROBE', 'released', NULL, now() + interval '2 seconds'), "
                "('here', '10.0.0.9', 'STRANGER', 'rejected', 'calling AE title not recognised', now())"
            )
        )
    client = house.client()
    newest = client.get("/api/v1/associations").json()["associations"][0]
    assert (newest["outcome"], newest["reason"]) == ("rejected", "calling AE title not recognised")
    (released,) = client.get("/api/v1/associations", params={"outcome": "released"}).json()["associations"]
    assert released["duration_seconds"] == pytest.approx(2.0)


def test_metrics_count_what_happened_and_name_nobody(house: House) -> None:
    client = reported(house)
    client.get("/api/v1/studies", params={"patient_id": "Canary"})
    exposed = client.get("/metrics").text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }
    assert samples["sonomyo_instances", ("disposition", "current")] == 1
    assert samples["sonomyo_studies", ("status", "reported")] == 1
    assert samples["sonomyo_analyses", ("analysis", "muscle_architecture"), ("state", "done")] == 1
    assert samples["sonomyo_deliveries", ("destination", "pacs"), ("state", "delivered")] == 1
    route = (("method", "GET"), ("route", "/api/v1/studies"), ("status", "200"))
    assert samples["sonomyo_http_requests_total", *route] == 1
    assert "Canary" not in exposed
    assert STUDY not in exposed


def test_unknown_method_and_path_are_problems_without_new_labels(house: House) -> None:
    client = house.client()
    wrong = client.delete("/api/v1/studies")
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert client.request("BREW", "/coffee/Canary").status_code == 404
    assert client.get("/api/v1/nothing").headers["content-type"] == "application/problem+json"
    exposed = client.get("/metrics").text
    assert "BREW" not in exposed
    assert "coffee" not in exposed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/v1/studies", "GET, HEAD, POST"), (f"/api/v1/studies/{STUDY}", "GET, HEAD"), ("/sign-out", "POST")],
)
def test_method_not_allowed_lists_every_method_of_the_path(house: House, path: str, allowed: str) -> None:
    answer = house.client().put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_body_of_another_type_is_refused(house: House) -> None:
    answer = house.client().post("/api/v1/studies", content=b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
    assert house.client().post("/api/v1/sign-in-links", content=b"not json").status_code == 422


def test_surprise_is_a_problem_that_tells_nothing(house: House) -> None:
    def surprise(_report: object, _pictures: object, _language: object) -> str:
        raise RuntimeError("Canary^Иван is not a number")

    client = reported(house)
    object.__setattr__(house.app.state.services, "render_page", surprise)
    answer = client.get(f"/api/v1/studies/{STUDY}/report", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "Canary" not in answer.text
    assert "Canary" not in house.log.getvalue()
    assert "RuntimeError" in house.log.getvalue()
    assert answer.json()["request_id"] in house.log.getvalue()


def test_database_away_is_unavailable_and_said_by_the_metrics(tmp_path: Path) -> None:
    away = make_engine(f"postgresql://nobody@/nothing?host={tmp_path}", pool_size=2)
    units = make_unit_of_work_factory(engine=away, procrastinate=make_deferring_app())
    with House(away, units, tmp_path / "store") as lost:
        client = lost.client()
        for path in ("/api/v1/studies", f"/api/v1/studies/{STUDY}", "/api/v1/jobs"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert int(answer.headers["retry-after"]) > 0
        assert upload(client, dicom_file()).status_code == 503
        assert not list(lost.store.incoming.folder.iterdir())
        assert "sonomyo_database_up 0.0" in client.get("/metrics").text
        assert lost.client("smy_0_0").get("/api/v1/studies").status_code == 503
        assert lost.client(None).get("/healthz").status_code == 200
    away.dispose()


def test_worklist_page_escapes_what_a_device_sent(house: House) -> None:
    client = house.session(Role.RADIOLOGIST)
    upload(house.client(), dicom_file(PatientName="<script>alert(1)</script>^x", StudyDescription='"><img src=x onerror=y>'))
    page = client.get("/").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    waiting = client.get(f"/studies/{STUDY}").text
    assert "no report yet" in waiting
    assert "<script>alert" not in waiting
    assert client.get("/docs").status_code == 200
