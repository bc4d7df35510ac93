"""What tests of local accounts do by HTTP."""

from datetime import timedelta
from typing import Any

import httpx2
from sqlalchemy import text

from tests.integration.api_parts import PASSWORD, House

OTHER_PASSWORD = "staple of a quiet pond"


def submit(client: httpx2.Client, login: str = "anna", password: str = PASSWORD, **more: str) -> httpx2.Response:
    """Send the sign-in form."""
    return client.post("/sign-in", data={"login": login, "password": password, **more})


def csrf_of(browser: httpx2.Client) -> dict[str, str]:
    """The header that a change by session needs."""
    return {"X-CSRF-Token": browser.get("/").text.split('name="csrf_token" value="')[1].split('"')[0]}


def user_id_of(browser: httpx2.Client) -> str:
    return str(browser.get("/api/v1/me").json()["person"]["user_id"])


def audit(house: House) -> list[dict[str, Any]]:
    """Newest first."""
    return list(house.client().get("/api/v1/audit").json()["entries"])


def set_times(house: House, statement: str, **values: timedelta) -> None:
    """What only time does otherwise."""
    with house.engine.begin() as connection:
        connection.execute(text(statement), values)
