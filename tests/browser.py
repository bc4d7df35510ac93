"""A real browser, headless: by Playwright (`tab`), or over the bare DevTools protocol (`browser`, where a camera is used)."""

import base64
import itertools
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2
from playwright import sync_api as playwright
from websockets.sync.client import ClientConnection, connect

from tests.peers import peer
from tests.running import poll

_LARGEST_ANSWER = 64 << 20
#: WebGL by the processor, for pages that draw with it; no host but this one has an address.
WEBGL = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
#: For pages that do not.
PLAIN = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


@dataclass(frozen=True)
class Tab:
    """One page of Playwright's, and all that went wrong in it: refusals of the content policy, errors of scripts."""

    page: playwright.Page
    problems: list[str] = field(default_factory=list)

    def wait(self, expression: str, *, timeout_seconds: float = 30) -> Any:
        """Poll until the expression is true; unlike Playwright's own waiting, no script is injected that a policy refuses."""
        return poll(lambda: self.page.evaluate(expression), timeout_seconds=timeout_seconds, what=expression)

    def carry(self, name: str, value: str, address: str) -> None:
        """A cookie for an address: the session of somebody who has signed in."""
        self.page.context.add_cookies([{"name": name, "value": value, "url": address}])


@contextmanager
def tab(
    *,
    width: int = 1280,
    height: int = 900,
    theme: Literal["dark", "light"] = "dark",
    is_still: bool = False,
    language: str = "en-GB",
    arguments: Sequence[str] = PLAIN,
) -> Iterator[Tab]:
    """Debian's Chromium without a profile; `theme` is what the system prefers, `is_still` that it asks for little motion."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=peer("/usr/bin/chromium"), args=[*arguments])
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce" if is_still else "no-preference",
            accept_downloads=True,
            locale=language,
        )
        made = Tab(context.new_page())
        made.page.on("console", lambda said: made.problems.append(said.text) if said.type == "error" else None)
        made.page.on("pageerror", lambda error: made.problems.append(str(error)))
        try:
            yield made
        finally:
            context.close()
            browser.close()


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def open(self, url: str) -> None:
        """Go there; the page may still load when this returns."""
        self._ask("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression; a promise is waited for."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, *, timeout_seconds: float = 30) -> Any:
        """Poll until the expression is true."""
        return poll(lambda: self.evaluate(expression), timeout_seconds=timeout_seconds, what=expression)

    def screenshot(self, path: Path) -> None:
        """A PNG of what is seen."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])


@contextmanager
def browser(folder: Path, *, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Chromium with a profile of its own in `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        peer("/usr/bin/chromium"),
        "--headless=new",
        *PLAIN,
        "--remote-debugging-port=0",
        f"--window-size={width},{height}",
        f"--user-data-dir={folder}",
        "about:blank",
    ]
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port = poll(lambda: _port(folder), timeout_seconds=30, what="the browser's port")
        (target,) = [one for one in httpx2.get(f"http://127.0.0.1:{port}/json/list").json() if one["type"] == "page"]
        with connect(target["webSocketDebuggerUrl"], max_size=_LARGEST_ANSWER) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(folder: Path) -> int | None:
    written = folder / "DevToolsActivePort"
    lines = written.read_text().splitlines() if written.exists() else []
    return int(lines[0]) if len(lines) > 1 else None
