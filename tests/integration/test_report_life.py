"""The life of a report through HTTP: amended, signed, amended again, withdrawn, by persons only and one at a time."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from service.access import Role
from service.core.findings import Finding, Interval
from service.ports import UnitOfWorkFactory
from tests.fakes import FakeAnalysis
from tests.integration.api_parts import ANNA, BERT, STUDY, House, dicom_file, reported, upload

WHY = "measured again by hand"


FLAGS = ("interval_from_simulation",)


class Thickness(FakeAnalysis):
    """Measures 7 mm of everything: the grey level under another name."""

    def analyse(self, *arguments: Any, **keywords: Any) -> tuple[Finding, ...]:
        (finding,) = super().analyse(*arguments, **keywords)
        interval = Interval(low=6.5, high=7.5, level=0.9)
        return (
            finding.model_copy(
                update={"name": "thickness", "unit": "mm", "interval": interval, "text": "Thickness 7.0 mm", "flags": FLAGS}
            ),
        )


@pytest.fixture
def house(engine: Engine, units: UnitOfWorkFactory, tmp_path: Path) -> Iterator[House]:
    with House(engine, units, tmp_path, analysis=Thickness()) as made:
        yield made


@pytest.fixture
def draft(house: House) -> dict[str, Any]:
    """The first version, as the service composed it."""
    return official(reported(house))


def official(client: httpx2.Client, **query: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/studies/{STUDY}/report", params=query)
    assert answer.status_code == httpx2.codes.OK, answer.text
    read: dict[str, Any] = answer.json()
    return read


def amend(client: httpx2.Client, report: dict[str, Any], **changes: Any) -> httpx2.Response:
    body = {"why": WHY, **changes}
    return client.patch(f"/api/v1/reports/{report['report_id']}", json=body, headers=matching(report))


def sign(client: httpx2.Client, report: dict[str, Any]) -> httpx2.Response:
    return client.post(f"/api/v1/reports/{report['report_id']}/sign", headers=matching(report))


def cancel(client: httpx2.Client, report: dict[str, Any], why: str = "of another patient") -> httpx2.Response:
    return client.post(f"/api/v1/reports/{report['report_id']}/cancel", json={"why": why}, headers=matching(report))


def matching(report: dict[str, Any]) -> dict[str, str]:
    return {"If-Match": f'"{report["report_id"]}"'}


def set_to(report: dict[str, Any], value: float | str) -> list[dict[str, Any]]:
    return [{"action": "set", "finding_id": report["findings"][0]["finding_id"], "value": value}]


def done(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == httpx2.codes.OK, answer.text
    made: dict[str, Any] = answer.json()
    return made


def sent(house: House) -> list[tuple[int, str]]:
    """Version and status of each object that the destination got, in order."""
    with house.units() as unit:
        reports = [unit.reports.get(one.report_id) for one in house.destination.received]
    return [(report.version, report.status.value) for report in reports]


def late_instance(house: House, uid: str = "1.2.4", **changes: Any) -> None:
    client = house.client()
    upload(client, dicom_file(uid, **changes)).raise_for_status()
    client.post(f"/api/v1/studies/{STUDY}/complete").raise_for_status()
    house.work()


def test_amended_value_makes_a_new_draft_that_keeps_what_the_software_said(house: House, draft: dict[str, Any]) -> None:
    made = done(amend(house.reviewer(), draft, findings=set_to(draft, 42)))
    finding = made["findings"][0]
    assert (made["version"], made["status"], made["predecessor"]) == (2, "preliminary", draft["report_id"])
    assert (finding["value"], finding["interval"], finding["amended_by"]) == (42.0, None, ANNA.full_name)
    assert finding["amended"]["original"]["value"] == 7.0
    assert (finding["amended"]["why"], finding["amended"]["user_id"]) == (WHY, ANNA.user_id)
    assert (made["act"]["kind"], made["act"]["why"], made["act"]["by"]) == ("amended", WHY, ANNA.full_name)
    assert made["impression"] == "Muscle architecture: thickness 42.0 mm (amended)."


def test_amended_value_leaves_the_version_before_as_it_was(house: House, draft: dict[str, Any]) -> None:
    done(amend(house.reviewer(), draft, findings=set_to(draft, 42)))
    before = house.client().get(f"/api/v1/reports/{draft['report_id']}").json()
    assert before | {"delivery": None} == draft | {"delivery": None}


def test_rejected_finding_stays_visible_without_a_number(house: House, draft: dict[str, Any]) -> None:
    change = [{"action": "reject", "finding_id": draft["findings"][0]["finding_id"]}]
    made = done(amend(house.reviewer(), draft, findings=change))
    finding = made["findings"][0]
    assert (finding["value"], finding["flags"], finding["amended"]["is_rejected"]) == (None, ["rejected"], True)
    said = finding["amended"]["original"]
    assert (said["value"], said["flags"]) == (7.0, [*FLAGS])
    assert "rejected by Dr Anna Grau" in made["impression"]
    assert "7" not in made["impression"]


def test_restored_finding_is_what_the_software_said(house: House, draft: dict[str, Any]) -> None:
    person = house.reviewer()
    rejected = done(amend(person, draft, findings=[{"action": "reject", "finding_id": draft["findings"][0]["finding_id"]}]))
    restore = [{"action": "restore", "finding_id": draft["findings"][0]["finding_id"]}]
    made = done(amend(person, rejected, findings=restore))
    assert (made["findings"], made["impression"]) == (draft["findings"], draft["impression"])


def test_written_impression_and_comment_stand_and_can_be_taken_back(house: House, draft: dict[str, Any]) -> None:
    person = house.reviewer()
    made = done(amend(person, draft, impression="A normal muscle.", comment="Seen with the patient."))
    assert (made["impression"], made["comment"]["text"]) == ("A normal muscle.", "Seen with the patient.")
    assert made["written_impression"]["by"] == ANNA.full_name
    back = done(amend(person, made, impression=None, comment=None))
    assert (back["impression"], back["written_impression"], back["comment"]) == (draft["impression"], None, None)


def test_value_amended_under_a_written_impression_is_told_until_the_impression_is_written_anew(
    house: House, draft: dict[str, Any]
) -> None:
    person = house.reviewer()
    written = done(amend(person, draft, impression="A normal muscle."))
    amended = done(amend(person, written, findings=set_to(draft, 42)))
    assert amended["impression"] == "A normal muscle."
    assert [one for one in amended["limitations"] if "see whether it still fits" in one]
    again = done(amend(person, amended, impression="A bright muscle."))
    assert not [one for one in again["limitations"] if "see whether it still fits" in one]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"findings": [{"action": "set", "finding_id": "?", "value": 300}]}, 422, "implausible_value"),
        ({"findings": [{"action": "set", "finding_id": "?", "value": "many"}]}, 422, "value"),
        ({"findings": [{"action": "set", "finding_id": "?", "value": True}]}, 422, "invalid"),
        ({"findings": [{"action": "restore", "finding_id": "?"}]}, 409, "unamended"),
        ({"findings": [{"action": "reject", "finding_id": "nothing"}]}, 422, "finding_unknown"),
        ({"findings": [{"action": "reject", "finding_id": "?"}] * 2}, 422, "finding_twice"),
        ({}, 422, "nothing_changed"),
        ({"findings": [{"action": "reject", "finding_id": "?"}], "why": ""}, 422, "invalid"),
        ({"signed_by": "Me"}, 422, "invalid"),
    ],
)
def test_change_that_cannot_be_is_refused_by_its_reason(
    house: House, draft: dict[str, Any], changes: dict[str, Any], status: int, reason: str
) -> None:
    known = draft["findings"][0]["finding_id"]
    for change in changes.get("findings", []):
        change["finding_id"] = change["finding_id"].replace("?", known)
    answer = amend(house.reviewer(), draft, **changes)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:sonomyo:problem:{reason}")
    assert official(house.client())["version"] == 1


def test_signature_makes_the_draft_final_and_sends_it(house: House, draft: dict[str, Any]) -> None:
    made = done(sign(house.reviewer(), draft))
    assert (made["version"], made["status"], made["predecessor"]) == (2, "final", draft["report_id"])
    assert (made["signed_by"], made["act"]["organization"], made["signed_at"] is not None) == (
        ANNA.full_name,
        "Test Hospital",
        True,
    )
    house.work()
    assert sent(house) == [(1, "preliminary"), (2, "final")]


def test_amendment_of_a_signed_report_is_a_draft_beside_it_until_it_is_signed(house: House, draft: dict[str, Any]) -> None:
    anna, bert = house.reviewer(ANNA), house.reviewer(BERT)
    final = done(sign(anna, draft))
    beside = done(amend(bert, final, findings=set_to(draft, 42)))
    house.work()
    assert (beside["status"], beside["signed_by"], beside["predecessor_status"]) == ("preliminary", None, "final")
    read = house.client().get(f"/api/v1/studies/{STUDY}/report")
    assert (read.json()["report_id"], read.json()["draft"]) == (final["report_id"], beside["report_id"])
    assert f'</api/v1/reports/{beside["report_id"]}>; rel="working-copy"' in read.headers["link"]
    assert official(house.client(), version="draft")["report_id"] == beside["report_id"]
    assert sent(house) == [(1, "preliminary"), (2, "final")]
    amended = done(sign(bert, beside))
    house.work()
    assert (amended["status"], amended["signed_by"], amended["predecessor"]) == ("amended", BERT.full_name, final["report_id"])
    assert official(house.client())["report_id"] == amended["report_id"]
    assert sent(house) == [(1, "preliminary"), (2, "final"), (4, "amended")]


def test_late_instance_after_a_signature_opens_a_draft_and_changes_nothing_official(house: House, draft: dict[str, Any]) -> None:
    final = done(sign(house.reviewer(), draft))
    late_instance(house)
    read = official(house.client())
    beside = official(house.client(), version="draft")
    assert (read["report_id"], read["status"], read["draft"]) == (final["report_id"], "final", beside["report_id"])
    assert (beside["status"], beside["predecessor"], len(beside["findings"])) == ("preliminary", final["report_id"], 2)
    assert sent(house) == [(1, "preliminary"), (2, "final")]


def test_reanalysis_after_a_signature_twice_opens_drafts_that_all_name_the_signed_version(
    house: House, draft: dict[str, Any]
) -> None:
    final = done(sign(house.reviewer(), draft))
    for _ in range(2):
        house.client().post(f"/api/v1/studies/{STUDY}/reanalyse").raise_for_status()
        house.work()
    beside = official(house.client(), version="draft")
    assert (beside["version"], beside["predecessor"], beside["predecessor_version"]) == (4, final["report_id"], 2)
    assert official(house.client())["report_id"] == final["report_id"]


def test_signed_version_that_waits_for_its_destination_is_sent_although_a_draft_was_made_since(
    house: House, draft: dict[str, Any]
) -> None:
    final = done(sign(house.reviewer(), draft))
    late = dicom_file("1.2.4")
    upload(house.client(), late).raise_for_status()
    house.flow.request_report(STUDY)
    with house.engine.begin() as connection:  # the delivery comes last
        connection.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE queue_name = 'delivery'")
        )
    house.work()
    assert official(house.client())["draft"] is not None
    house.flow.deliver_report(final["report_id"], "pacs", "sr")
    assert sent(house) == [(1, "preliminary"), (2, "final")]


def test_amendment_of_an_unsigned_draft_is_carried_over_when_an_instance_comes(house: House, draft: dict[str, Any]) -> None:
    done(amend(house.reviewer(), draft, findings=set_to(draft, 42), comment="Look at the fascia."))
    late_instance(house)
    read = official(house.client())
    assert [(one["value"], one["amended_by"]) for one in read["findings"]] == [(42.0, ANNA.full_name), (7.0, None)]
    assert (read["version"], read["status"], read["comment"]["text"]) == (3, "preliminary", "Look at the fascia.")
    assert "Cine 1: Muscle architecture: thickness 42.0 mm (amended)." in read["impression"]


def test_amendment_of_a_finding_that_is_gone_is_told_and_not_lost_silently(house: House, draft: dict[str, Any]) -> None:
    done(amend(house.reviewer(), draft, findings=set_to(draft, 42)))
    upload(house.client(), dicom_file("1.2.3", grey=7, StudyInstanceUID=f"{STUDY}.9")).raise_for_status()
    late_instance(house)
    read = official(house.client())
    assert [one["amended_by"] for one in read["findings"]] == [None]
    assert [
        one
        for one in read["limitations"]
        if one.startswith("Thickness had been set to 42.0 mm by Dr Anna Grau (measured again by hand)")
    ]


def test_withdrawn_report_is_sent_so_that_its_receivers_hear_of_it(house: House, draft: dict[str, Any]) -> None:
    final = done(sign(house.reviewer(ANNA), draft))
    made = done(cancel(house.reviewer(BERT), final))
    house.work()
    assert (made["status"], made["withdrawn"], made["predecessor"]) == ("cancelled", "final", final["report_id"])
    assert "withdrawn by Dr Bert Weiß" in made["impression"]
    assert official(house.client())["report_id"] == made["report_id"]
    assert sent(house) == [(1, "preliminary"), (3, "cancelled")]  # the signed one had not gone yet
    assert amend(house.reviewer(), made, comment="More.").status_code == 409
    assert sign(house.reviewer(), made).status_code == 409
    assert cancel(house.reviewer(), made, "once more, differently").status_code == 409


def test_draft_given_up_beside_a_signed_version_leaves_that_one_official_and_open_to_amendment(
    house: House, draft: dict[str, Any]
) -> None:
    person = house.reviewer()
    final = done(sign(person, draft))
    beside = done(amend(person, final, findings=set_to(draft, 42)))
    assert cancel(person, final).status_code == 412
    done(cancel(person, beside, "a slip"))
    house.work()
    read = official(house.client())
    assert (read["report_id"], read["draft"], sent(house)) == (final["report_id"], None, [(1, "preliminary"), (2, "final")])
    assert done(amend(person, final, findings=set_to(draft, 43)))["predecessor"] == final["report_id"]


def test_study_analysed_again_after_a_withdrawal_is_a_draft_that_waits_for_a_signature(
    house: House, draft: dict[str, Any]
) -> None:
    person = house.reviewer()
    withdrawn = done(cancel(person, done(sign(person, draft))))
    late_instance(house)
    assert official(house.client())["report_id"] == withdrawn["report_id"]
    waiting = official(house.client(), version="draft")
    assert [one["amended_by"] for one in waiting["findings"]] == [None, None]
    assert done(sign(person, waiting))["status"] == "amended"


def test_change_of_a_version_that_another_person_has_changed_is_refused_and_shown_theirs(
    house: House, draft: dict[str, Any]
) -> None:
    theirs = done(amend(house.reviewer(BERT), draft, findings=set_to(draft, 42)))
    for answer in (amend(house.reviewer(ANNA), draft, findings=set_to(draft, 43)), sign(house.reviewer(ANNA), draft)):
        assert answer.status_code == 412
        assert answer.json()["current"] == {
            "report_id": theirs["report_id"],
            "version": 2,
            "etag": f'"{theirs["report_id"]}"',
            "link": f"/api/v1/reports/{theirs['report_id']}",
        }
    assert official(house.client())["version"] == 2


def test_two_persons_who_change_at_once_make_one_version(house: House, draft: dict[str, Any]) -> None:
    answers: list[httpx2.Response] = []
    people = [house.reviewer(ANNA), house.reviewer(BERT)]
    begin = threading.Barrier(len(people))

    def change(client: httpx2.Client, value: float) -> None:
        begin.wait()
        answers.append(amend(client, draft, findings=set_to(draft, value)))

    threads = [threading.Thread(target=change, args=(client, 40 + number)) for number, client in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert official(house.client())["version"] == 2


def test_request_that_is_repeated_makes_nothing_new(house: House, draft: dict[str, Any]) -> None:
    person = house.reviewer()
    made = [done(amend(person, draft, findings=set_to(draft, 42))) for _ in range(2)]
    assert made[0]["report_id"] == made[1]["report_id"]
    signed = [done(sign(person, made[0])) for _ in range(2)]
    assert signed[0]["report_id"] == signed[1]["report_id"]
    withdrawn = [done(cancel(person, signed[0])) for _ in range(2)]
    assert (withdrawn[0]["report_id"], withdrawn[0]["version"]) == (withdrawn[1]["report_id"], 4)
    assert sign(house.reviewer(BERT), made[0]).status_code == 412


@pytest.mark.parametrize(
    ("header", "status"),
    [(None, 428), ("*", 428), ('"00000000-0000-4000-8000-000000000000"', 412), ("W/", 412), ("bare", 412)],
)
def test_change_without_the_version_that_was_read_is_refused(
    house: House, draft: dict[str, Any], header: str | None, status: int
) -> None:
    if header == "W/":
        header += f'"{draft["report_id"]}"'
    headers = {} if header is None else {"If-Match": header}
    answer = house.reviewer().post(f"/api/v1/reports/{draft['report_id']}/sign", headers=headers)
    assert answer.status_code == status
    assert official(house.client())["version"] == 1


@pytest.mark.parametrize("step", ["amend", "sign", "cancel"])
def test_key_or_one_time_link_cannot_stand_for_a_report(house: House, draft: dict[str, Any], step: str) -> None:
    link = house.session(Role.RADIOLOGIST)
    page = link.get(f"/studies/{STUDY}")
    assert page.status_code == httpx2.codes.OK
    steps = {
        "amend": lambda c: amend(c, draft, comment="x"),
        "sign": lambda c: sign(c, draft),
        "cancel": lambda c: cancel(c, draft),
    }
    for client in (house.client(), house.client(house.key(Role.RADIOLOGIST))):
        answer = steps[step](client)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:sonomyo:problem:no_person")
        assert "Only a person" in answer.json()["detail"]
    assert steps[step](link).status_code == 403
    assert official(house.client())["version"] == 1


def test_each_step_is_on_record_under_the_persons_name_of_account(house: House, draft: dict[str, Any]) -> None:
    person = house.reviewer()
    amended = done(amend(person, draft, findings=set_to(draft, 42)))
    done(cancel(person, done(sign(person, amended))))
    rows = house.rows("SELECT actor, action, detail->>'status' FROM audit WHERE action LIKE 'report\\_%ed' ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("user:u-anna", "report_amended", "preliminary"),
        ("user:u-anna", "report_signed", "final"),
        ("user:u-anna", "report_cancelled", "cancelled"),
    ]


def test_report_of_a_study_whose_identity_changed_cannot_be_signed_before_it_is_acknowledged(house: House) -> None:
    reported(house)
    late_instance(house, PatientID="P2")
    newest = official(house.client())
    answer = sign(house.reviewer(), newest)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:sonomyo:problem:identity_hold")
    house.client().post(f"/api/v1/studies/{STUDY}/acknowledge-identity").raise_for_status()
    assert done(sign(house.reviewer(), newest))["status"] == "final"


def test_signed_version_cannot_be_changed_in_the_database(house: House, draft: dict[str, Any]) -> None:
    done(sign(house.reviewer(), draft))
    with pytest.raises(DBAPIError, match="immutable"), house.engine.begin() as connection:
        connection.execute(text("UPDATE reports SET is_settled = false"))
