"""The header of every page: one line for everybody, in each language, from 1280 pixels on."""

import pytest

from service.access import Role
from tests.browser import tab
from tests.integration.api_parts import PASSWORD, House
from tests.integration.test_pages_browser import house, pacs

__all__ = ["house", "pacs"]  # fixtures
pytestmark = pytest.mark.timeout(300)
#: Lower edges of what is in the header beside its upper edge, and whether any word in it is broken or cut.
LINES = """(() => {
  const header = document.querySelector("body > header");
  const parts = [...header.children].filter((one) => one.checkVisibility());
  const middles = parts.map((one) => { const { top, bottom } = one.getBoundingClientRect(); return (top + bottom) / 2; });
  return { spread: Math.max(...middles) - Math.min(...middles), height: header.offsetHeight,
    wrapped: [...header.querySelectorAll("a, button")].filter((one) => one.getClientRects().length > 1 || one.offsetHeight > 44)
      .map((one) => one.textContent) };
})()"""


@pytest.mark.parametrize("width", [1280, 2560])
@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
@pytest.mark.parametrize("name", ["Dr Anna Kowalska", "Priv.-Doz. Dr. med. Annegret Schulze-Kowalska"])
def test_header_of_an_administrator_is_one_line(house: House, name: str, language: str, width: int) -> None:
    house.users.add(login="ada", full_name=name, role=Role.ADMINISTRATOR, password=PASSWORD, actor="test")
    with house.served() as address, tab(width=width, height=800, language=language) as made:
        made.page.goto(f"{address}/sign-in")
        made.page.fill("#login", "ada")
        made.page.fill("#password", PASSWORD)
        made.page.press("#password", "Enter")
        made.wait("document.querySelector('.areas') !== null")
        made.wait("!document.querySelector('.theme').hidden")
        found = made.page.evaluate(LINES)
        assert found["spread"] < 6
        assert found["wrapped"] == []
        assert found["height"] < 64
        assert name in made.page.locator("header .who").inner_text()
