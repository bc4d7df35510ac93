"""Pictures of the pages for the documents: `make screenshots`, or `python -m bench.screenshots`.

The whole service with its own models, on simulated cines; a page that has a picture adds a line to `pages`. With `--measure` it
prints the time from asking for the viewer to its first frame, and how evenly a cine of 400 frames plays.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from simulator.write import simulate
from tests.browser import Tab, tab
from tests.e2e.sending import send, study_of
from tests.running import RunningService, running_service

SEED = 3
FRAMES = 400
_IS_SHOWN = "Number(document.querySelector('[data-view]').dataset.shownFrame) > 0"
_IS_DRAWN = "Number(document.querySelector('[data-view]').dataset.drawnFrame) > 0"


@dataclass(frozen=True)
class Picture:
    """One PNG: which page, in which theme, how large, and what is done there first."""

    name: str
    path: Callable[[], str]
    theme: Literal["dark", "light"] = "dark"
    width: int = 1440
    height: int = 900
    is_signed_in: bool = True
    prepare: Callable[[Tab], None] = lambda _: None


def drawn(page: Tab) -> None:
    """A frame with its overlay, and the plots."""
    page.wait(_IS_DRAWN, timeout_seconds=120)
    page.wait("document.querySelectorAll('.plot .u-over').length > 0 || document.querySelector('[data-plots]').hidden")


def pages(study_of_kind: Callable[[str], str]) -> list[Picture]:
    """Every picture, of studies by the kind of their cine; the worklist last, when there is most in it."""
    calf, wrist = (lambda: f"/studies/{study_of_kind('calf')}"), (lambda: f"/studies/{study_of_kind('wrist')}")
    return [
        Picture("viewer-calf-dark", calf, prepare=drawn),
        Picture("viewer-calf-light", calf, theme="light", prepare=drawn),
        Picture("viewer-calf-wide", calf, width=2560, height=1300, prepare=drawn),
        Picture("viewer-wrist-dark", wrist, prepare=drawn),
        Picture("live-dark", lambda: "/live"),
        Picture("sign-in-light", lambda: "/sign-in", theme="light", is_signed_in=False),
        Picture("worklist-dark", lambda: "/"),
        Picture("worklist-light", lambda: "/", theme="light"),
    ]


def main() -> None:
    """Simulate, analyse, and take every picture that is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of pictures; all without")
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--measure", action="store_true", help="how the viewer starts and plays, too")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="sonomyo-pictures-") as folder,
        running_service(Path(folder) / "service", stable_age_seconds="3600") as service,
    ):
        reported = cache(lambda kind, frames=None: study(service, Path(folder), kind, frames))
        for picture in pages(reported):
            if not given.names or picture.name in given.names:
                take(service, picture, given.output)
        if given.measure:
            print(json.dumps(measured(service, reported("calf", FRAMES))))


def study(service: RunningService, folder: Path, kind: str, frames: int | None) -> str:
    """A simulated cine that is sent, analysed and reported; gives its Study Instance UID."""
    (path,) = simulate(
        kind, folder / f"{kind}-{frames}", seed=SEED + (frames or 0), transfer_syntax="jpeg", number_of_frames=frames
    )
    send(service, path)
    service.api.post(f"/api/v1/studies/{study_of(path)}/complete").raise_for_status()
    service.report(study_of(path), timeout_seconds=1200)
    return study_of(path)


def take(service: RunningService, picture: Picture, output: Path) -> None:
    """One PNG."""
    with tab(width=picture.width, height=picture.height, theme=picture.theme, is_still=True) as page:
        if picture.is_signed_in:
            sign_in(service, page)
        page.page.goto(f"http://127.0.0.1:{service.http_port}{picture.path()}")
        picture.prepare(page)
        page.page.wait_for_timeout(500)  # for what moves into its place
        page.page.screenshot(path=output / f"{picture.name}.png")
    print(output / f"{picture.name}.png", *page.problems)


def measured(service: RunningService, study: str) -> dict[str, Any]:
    """Milliseconds from asking for the page to the first frame, and between frames while a long cine plays."""
    with tab(width=1440, height=900) as page:
        sign_in(service, page)
        page.page.goto(f"http://127.0.0.1:{service.http_port}/studies/{study}", wait_until="commit")
        page.wait(_IS_SHOWN)
        drawn(page)
        found: dict[str, Any] = page.page.evaluate(_PLAY)
    return {"frames": FRAMES, **found}


def sign_in(service: RunningService, page: Tab) -> None:
    """By a one-time link."""
    page.page.goto(service.api.post("/api/v1/sign-in-links", json={"role": "radiologist"}).json()["url"])
    page.wait("document.querySelector('h1')?.textContent === 'Worklist'")


#: From the first frame on; each gap is compared with that of the cine's own time axis.
_PLAY = """async () => {
  const shown = [], start = performance.getEntriesByName("sonomyo-first-frame")[0]?.startTime ?? null;
  document.dispatchEvent(new CustomEvent("sonomyo:seek", { detail: { frame: 1 } }));
  while (document.querySelector("[data-view]").dataset.shownFrame !== "1") await new Promise(requestAnimationFrame);
  document.addEventListener("sonomyo:frame", ({ detail }) => shown.push([performance.now(), detail.frame]));
  document.querySelector("[data-play]").click();
  const end = performance.now() + 60000;
  while (performance.now() < end && (shown.length < 2 || shown.at(-1)[1] > 1)) await new Promise(requestAnimationFrame);
  const gaps = shown.slice(1).map(([at], index) => at - shown[index][0]).sort((one, other) => one - other);
  const seconds = (shown.at(-1)[0] - shown[0][0]) / 1000;
  return { first_frame_ms: start, played: shown.length, seconds, median_gap_ms: gaps[gaps.length >> 1],
    p99_gap_ms: gaps[Math.floor(gaps.length * 0.99)], longest_gap_ms: gaps.at(-1) };
}"""

if __name__ == "__main__":
    main()
