// Live page: filters, more rows, and rows that arrive. Every row is rendered, and escaped, by the server.
import { handleTap } from "./corrections.js";
import { handlePlay } from "./player.js";

const byId = id => document.getElementById(id);
const texts = JSON.parse(document.body.dataset.texts), day = document.body.dataset.day;
const form = byId("filters"), list = byId("rows");
let asked = 0, timer = null, pending = new Set();

document.addEventListener("click", event => {
  const play = event.target.closest(".play, .picture"), tap = event.target.closest(".tap");
  if (play) handlePlay(play, event, texts);
  if (tap) handleTap(tap, texts, showNotice).then(html => html && replaceRow(html));
  const link = event.target.closest("a[data-detection]");
  if (link && form) openDetection(event, link.dataset.detection);
});
document.addEventListener("keydown", handleKey);

function parse(html) {
  return [...new DOMParser().parseFromString(`<ol>${html}</ol>`, "text/html").body.firstChild.children];
}
function values() {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
}
async function fetchRows(parameters) {
  const response = await fetch(`/rows?${parameters}`, { headers: { accept: "application/json" } });
  if (response.status === 401) location.reload();
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

// Filters: the list, the counts and the address follow; without JavaScript the same form works.
async function update({ keepScroll = false } = {}) {
  const number = ++asked, parameters = values();
  list.setAttribute("aria-busy", "true");
  try {
    const answer = await fetchRows(parameters);
    if (number !== asked) return;  // a later one is under way
    const rows = parse(answer.rows);
    if (keepScroll) merge(rows, answer.more);
    else list.replaceChildren(...rows);
    showCounts(answer, keepScroll);
    if (!keepScroll) setMore(answer.more);
    history.replaceState(null, "", `/?${parameters}`);
  } catch (error) {
    showNotice(error.message);
  } finally {
    list.removeAttribute("aria-busy");
    watchEnd();
  }
}
function showCounts(answer, isLive = false) {
  byId("summary").innerHTML = answer.summary;
  byId("nothing").innerHTML = answer.empty;
  if (isLive && form.contains(document.activeElement)) return;  // a list of choices may be open
  const focused = form.contains(document.activeElement) ? document.activeElement.name || document.activeElement.id : "";
  const chosen = [...form.elements].filter(item => item.name).map(item => [item.name, item.value]);
  form.innerHTML = answer.options;
  chosen.forEach(([name, value]) => { form.elements[name].value = value; });
  byId("apply").hidden = true;
  if (focused) (form.elements[focused] || byId(focused))?.focus({ preventScroll: true });
}
function setMore(cursor) {
  list.dataset.more = cursor;
  const link = byId("more"), parameters = values();
  parameters.set("before", cursor);
  link.href = `/?${parameters}`;
  link.hidden = !cursor;
}
async function showMore() {
  const cursor = list.dataset.more, number = asked;
  let failed = false;
  if (!cursor || list.hasAttribute("aria-busy")) return;
  list.setAttribute("aria-busy", "true");
  try {
    const parameters = values();
    parameters.set("before", cursor);
    const answer = await fetchRows(parameters);
    if (number !== asked) return;
    list.append(...parse(answer.rows).filter(row => !byId(row.id)));
    setMore(answer.more);
  } catch (error) {
    showNotice(error.message);
    failed = true;
  } finally {
    list.removeAttribute("aria-busy");
    if (!failed) watchEnd();  // else the link stays, and nothing is asked again and again
  }
}
// Observed anew after each load, because the end of the list may still be on the screen.
const ends = new IntersectionObserver(entries => entries.some(entry => entry.isIntersecting) && showMore(),
  { rootMargin: "600px" });
function watchEnd() {
  ends.disconnect();
  if (list.dataset.more) ends.observe(byId("more").parentElement);
}

// Rows stay in the order of their cursor (time, then id), the latest first.
function isLater(first, second) {
  const [time, id] = first.dataset.cursor.split("~"), [otherTime, otherId] = second.dataset.cursor.split("~");
  return time === otherTime ? Number(id) > Number(otherId) : time > otherTime;
}
function insert(row, isNew) {
  const present = byId(row.id);
  if (present) return present.outerHTML === row.outerHTML ? undefined : present.replaceWith(row);
  const next = [...list.children].find(other => isLater(row, other));
  if (!next && list.dataset.more) return undefined;  // belongs to a page that is not shown yet
  if (isNew) row.classList.add("new");
  list.insertBefore(row, next || null);
}
function merge(rows, more) {
  const isFirst = !list.children.length;
  rows.forEach(row => insert(row, !isFirst));
  if (isFirst) setMore(more);
}
function replaceRow(html) {
  const [row] = parse(html), present = byId(row.id);
  const pressed = document.activeElement?.dataset?.type;
  present?.replaceWith(row);
  row.querySelector(`.tap[data-type="${CSS.escape(pressed ?? "")}"]`)?.focus({ preventScroll: true });
}

// Changes: the server sends ids; only these rows are asked for.
function connect() {
  const source = new EventSource(`/events?day=${encodeURIComponent(day)}`), state = byId("connection");
  const show = connected => {
    state.hidden = false;
    state.className = `connection ${connected ? "on" : "off"}`;
    state.textContent = texts[connected ? "connected" : "not connected"];
  };
  source.addEventListener("open", () => show(true));
  source.addEventListener("error", () => {
    show(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 10_000);  // refused: too many pages, or logged out
  });
  source.addEventListener("ready", () => schedule("all"));
  source.addEventListener("changed", event => {
    const change = JSON.parse(event.data);
    if (change.all) schedule("all");
    else change.ids.forEach(id => schedule(id));
  });
  window.addEventListener("pagehide", () => source.close(), { once: true });
}
function schedule(id) {
  pending.add(id);
  timer ??= setTimeout(() => { timer = null; fetchChanges(); }, 300);
}
async function fetchChanges() {
  const ids = [...pending];
  pending = new Set();
  if (ids.includes("all") || ids.length > 50) return update({ keepScroll: true });
  const parameters = values();
  parameters.set("ids", ids.join(","));
  try {
    const answer = await fetchRows(parameters), rows = parse(answer.rows);
    const kept = new Set(rows.map(row => row.dataset.id));
    ids.filter(id => !kept.has(String(id))).forEach(id => byId(`d${id}`)?.remove());
    rows.forEach(row => insert(row, true));
    showCounts(answer, true);
    loadHighlights();
  } catch (error) {
    showNotice(error.message);
  }
}

let lastHighlights = 0;
async function loadHighlights() {
  const box = byId("highlights");
  if (!box || Date.now() - lastHighlights < 30_000) return;
  lastHighlights = Date.now();
  const response = await fetch(box.dataset.src, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  box.replaceChildren(page.getElementById("fragment"));
  box.classList.add("loaded");
}
async function openDetection(event, id) {
  event.preventDefault();
  if (!byId(`d${id}`)) {
    const parameters = new URLSearchParams({ day, ids: id });
    const [row] = parse((await fetchRows(parameters)).rows);
    if (!row) return;
    const next = [...list.children].find(other => isLater(row, other));
    list.insertBefore(row, next || null);
  }
  const row = byId(`d${id}`);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button")?.focus({ preventScroll: true });
}

// j and k move between detections, space plays, as in mail programs
function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (event.key !== "j" && event.key !== "k") return;
  const rows = [...document.querySelectorAll(".detection")];
  const at = rows.indexOf(document.activeElement?.closest(".detection"));
  const row = rows[event.key === "j" ? at + 1 : Math.max(0, at - 1)];
  row?.scrollIntoView({ block: "nearest" });
  row?.querySelector("button")?.focus({ preventScroll: true });
}

let noticeTimer = null;
function showNotice(text) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.hidden = !text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { notice.hidden = true; }, 4000);
}

if (form) {
  byId("apply").hidden = true;
  form.addEventListener("input", event => {
    if (event.target.name === "day") {
      if (event.target.value && event.target.value !== day) location.assign(`/?${values()}`);
    } else update();
  });
  form.addEventListener("submit", event => { event.preventDefault(); update(); });
  byId("more").addEventListener("click", event => { event.preventDefault(); showMore(); });
  watchEnd();
  connect();
  loadHighlights();
}
const autosubmit = document.querySelector("form[data-autosubmit]");
if (autosubmit) {
  byId("apply").hidden = true;
  autosubmit.addEventListener("input", () => autosubmit.submit());
}
if (document.body.dataset.wait) setTimeout(() => location.reload(), 10_000);
