// Corrections with one tap: a second tap withdraws. The person's name stays in this browser.
const KEY = "birdnet_nl.person";

function stored() {
  try { return localStorage.getItem(KEY) || ""; } catch { return ""; }
}
function store(name) {
  try { localStorage.setItem(KEY, name); } catch { /* private windows: asked again */ }
}

function askName() {
  const dialog = document.getElementById("who"), input = document.getElementById("person");
  input.value = stored();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => {
    const name = dialog.returnValue === "save" ? input.value.trim() : "";
    if (name) store(name);
    resolve(name);
  }, { once: true }));
}

export async function handleTap(button, texts, notify) {
  const person = stored() || await askName();
  if (!person) return "";
  const group = button.closest(".taps"), row = button.closest(".detection");
  const withdraw = button.getAttribute("aria-pressed") === "true";
  const body = { type: withdraw ? "" : button.dataset.type, person, result: Number(group.dataset.result) || null };
  group.querySelectorAll("button").forEach(other => { other.disabled = true; });
  try {
    const response = await fetch(`/detections/${row.dataset.id}/correction`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message);
    notify(texts[withdraw ? "withdrawn" : "saved"]);
    return answer.row;
  } catch (error) {
    notify(`${texts["Not saved"]}: ${error.message}`);
    return "";
  } finally {
    group.querySelectorAll("button").forEach(other => { other.disabled = false; });
  }
}
