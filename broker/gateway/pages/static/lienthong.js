// What makes the pages better where scripts run: figures and documents that follow events as they happen.
// Everything works without it. It never puts text from elsewhere into a page but as text, or as a page of ours.
"use strict";
(() => {
  const place = document.querySelector("[data-stream]");
  if (!place || !("EventSource" in window)) return;
  let source = null;
  let waiting = null;

  const showFigures = (event) => {
    const figures = JSON.parse(event.data);
    for (const [name, value] of Object.entries(figures)) {
      const shown = place.querySelector(`[data-live="${name}"]`);
      if (shown && shown.textContent !== value) {
        shown.textContent = value;
        shown.classList.remove("changed");
        void shown.offsetWidth;
        shown.classList.add("changed");
      }
    }
  };

  // The page says what it was made of, so that nothing is missed between its making and the stream's first word.
  const refresh = (event) => {
    clearTimeout(waiting);
    if (event.data === place.dataset.pulse) return;
    waiting = setTimeout(async () => {
      const inUse = place.contains(document.activeElement) || place.querySelector("details[open]");
      if (inUse) { waiting = setTimeout(() => refresh(event), 5000); return; }
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(place.dataset.refresh);
      if (fresh) { place.dataset.pulse = fresh.dataset.pulse; place.replaceChildren(...fresh.childNodes); }
    }, 600);
  };

  const open = () => {
    if (source) return;
    source = new EventSource(place.dataset.stream);
    source.addEventListener("figures", showFigures);
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", () => { close(); location.reload(); });
  };
  const close = () => { if (source) { source.close(); source = null; } };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  open();
})();
