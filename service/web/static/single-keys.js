// Keys of one character work by themselves, or only with Alt where a person wants it so: speech and a slip type them, too
// (WCAG 2.1.4). The choice is kept in this browser, as that of the theme is.

const KEPT = "sonomyo-single-keys";
const OFF = "off";
let areOn = read() !== OFF;
let offered = null; // the switch, on a page that has it

/** The key that a page is to act on: null with Ctrl or Meta, and for a single key while these are off. With Alt they always work. */
export function keyOf(event) {
  if (event.ctrlKey || event.metaKey) return null;
  const isSingle = event.key.length === 1 && event.key !== " ";
  if (event.altKey) return isSingle ? withoutAlt(event) : null;
  return isSingle && !areOn ? null : event.key;
}

/** With Option a Mac types another character than the key's own. */
function withoutAlt({ key, code }) {
  const isOther = key.charCodeAt(0) > 126 && /^Key[A-Z]$/.test(code);
  return isOther ? code.at(-1).toLowerCase() : key;
}

/** The switch of the help, and what the page says of its keys. */
export function offer(choice) {
  offered = choice;
  show();
  choice.addEventListener("change", () => {
    areOn = choice.checked;
    keep();
    show();
  });
}

addEventListener("storage", ({ key, newValue }) => {
  if (key !== KEPT) return;
  areOn = newValue !== OFF;
  if (offered) show();
});

function show() {
  offered.checked = areOn;
  for (const one of document.querySelectorAll("[aria-keyshortcuts]")) {
    const key = one.getAttribute("aria-keyshortcuts").replace(/^Alt\+/, "");
    if (key.length > 1) continue;
    one.setAttribute("aria-keyshortcuts", areOn ? key : `Alt+${key}`);
    one.title = one.title.replace(/\((?:Alt \+ )?(\S)\)/, areOn ? "($1)" : "(Alt + $1)");
  }
}

function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep() {
  try {
    if (areOn) localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, OFF);
  } catch {
    // It holds for this page, then.
  }
}
