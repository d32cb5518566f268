// One player for all rows; a click in a spectrogram plays from there.
const SHOWN_S = 60;  // of a clip, as drawn by the server
const sound = new Audio();
let current = null, texts = {};

const shownS = () => Math.min(sound.duration || 0, SHOWN_S);

export function handlePlay(target, event, words) {
  texts = words;
  const view = target.closest(".view"), button = view.querySelector(".play");
  if (!button || view.classList.contains("broken")) return;
  const picture = view.querySelector(".picture").getBoundingClientRect();
  const part = target.classList.contains("picture") ? (event.clientX - picture.left) / picture.width : null;
  if (current === button && part === null && !sound.paused) return sound.pause();
  if (current !== button) {
    stop();
    current = button;
    sound.src = button.dataset.clip;
  }
  const start = () => {
    if (part !== null) sound.currentTime = part * shownS();
    sound.play().catch(() => {});
  };
  if (sound.readyState || part === null) start();
  else sound.addEventListener("loadedmetadata", start, { once: true });
}
function stop() {
  sound.pause();
  show(false);
}
function show(isPlaying) {
  if (!current) return;
  current.classList.toggle("playing", isPlaying);
  const label = current.getAttribute("aria-label").replace(/^[^:]*/, texts[isPlaying ? "Pause" : "Play"]);
  current.setAttribute("aria-label", label);
  if (isPlaying) requestAnimationFrame(follow);
}
function follow() {
  if (!current?.isConnected) return sound.pause();
  const cursor = current.parentElement.querySelector(".cursor");
  if (shownS()) cursor.style.left = `${100 * Math.min(1, sound.currentTime / shownS())}%`;
  cursor.style.opacity = "1";
  if (!sound.paused) requestAnimationFrame(follow);
}
sound.addEventListener("play", () => show(true));
sound.addEventListener("pause", () => show(false));
sound.addEventListener("ended", () => show(false));
sound.addEventListener("error", () => current && fail(current.closest(".view")));

// A spectrogram that cannot be drawn has no sound either: said in words, without a broken image.
function fail(view) {
  if (view.classList.contains("broken")) return;
  view.classList.add("broken");
  const text = document.createElement("p");
  text.className = "soft no-audio";
  text.textContent = JSON.parse(document.body.dataset.texts)["The recording cannot be played here."];
  view.replaceChildren(text);
}
document.addEventListener("error", event => {
  if (event.target.matches?.(".picture img")) fail(event.target.closest(".view"));
}, true);
// images that failed before this script ran
for (const image of document.querySelectorAll(".picture img"))
  if (image.complete && image.currentSrc && !image.naturalWidth) fail(image.closest(".view"));
