// What scripts add to pages that work without them: looking again when something happens, copying, dropping a file.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const said = (text) => {
    const place = document.getElementById("said");
    if (!place) return;
    place.textContent = text;
    clearTimeout(said.timer);
    said.timer = setTimeout(() => { place.textContent = ""; }, 2500);
  };

  // Events are hints to look: the server renders what is true, and the difference is morphed in. At most twice a second.
  let last = 0, planned = null;
  const look = () => {
    if (planned) return;
    planned = setTimeout(() => {
      planned = null;
      last = Date.now();
      window.htmx?.trigger(document.body, "look");
    }, Math.max(0, 500 - (Date.now() - last)));
  };
  document.addEventListener("htmx:sse:before:message", (event) => { event.preventDefault(); look(); });
  document.addEventListener("htmx:sse:after:connection", () => { root.classList.remove("offline"); look(); });
  document.addEventListener("htmx:sse:error", () => root.classList.add("offline"));
  document.addEventListener("htmx:error", () => root.classList.add("offline"));
  document.addEventListener("htmx:after:swap", () => { root.classList.remove("offline"); remember(); title(); });

  // The title tells how many plans wait, also in a tab that nobody looks at.
  const title = () => {
    const waits = document.querySelector(".glance b");
    if (waits) document.title = (waits.textContent === "0" ? "" : `(${waits.textContent}) `) + document.title.replace(/^\(\d+\) /, "");
  };

  // Time that is left goes down while nothing else happens.
  const span = (seconds) => {
    if (seconds <= 0) return "expired";
    for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
      if (seconds >= size) { const count = Math.floor(seconds / size); return `${count} ${name}${count === 1 ? "" : "s"} left`; }
    }
    return `${Math.floor(seconds)} s left`;
  };
  setInterval(() => {
    for (const each of document.querySelectorAll("[data-until]")) {
      const left = Number(each.dataset.until) - Date.now() / 1000;
      if (left < 3600) each.textContent = span(left);
    }
  }, 1000);

  // Fields that are the same next time, such as one's name.
  const remember = () => {
    for (const each of document.querySelectorAll("[data-keep]")) {
      if (!each.value) try { each.value = localStorage.getItem(`devops-agent ${each.dataset.keep}`) || ""; } catch { /* not kept */ }
    }
  };
  document.addEventListener("change", (event) => {
    const name = event.target.dataset?.keep;
    if (name) try { localStorage.setItem(`devops-agent ${name}`, event.target.value); } catch { /* not kept */ }
  });

  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); said("Copied"); } catch { said("The browser does not allow copying here"); }
  };
  document.addEventListener("click", async (event) => {
    const from = event.target.closest?.("[data-copy]");
    if (from) await copy([...document.querySelectorAll(from.dataset.copy)].map((each) => each.textContent).join("\n"));
    const address = event.target.closest?.("[data-fetch]");
    if (address) {
      const answer = await fetch(address.dataset.fetch);
      if (answer.ok) await copy(await answer.text()); else said("It could not be read");
    }
    const example = event.target.closest?.("[data-example]");
    const log = document.getElementById("log");
    if (example && log instanceof HTMLTextAreaElement) { event.preventDefault(); log.value = example.dataset.example; log.focus(); log.scrollIntoView({ block: "center" }); }
  });

  // A line that is linked to is shown, also from within a fold.
  const unfold = () => {
    const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = wanted && wanted.closest("details");
    if (fold && !fold.open) { fold.open = true; wanted.scrollIntoView({ block: "center" }); }
  };
  addEventListener("hashchange", unfold);

  // A log that is dropped, and how much of a large one is sent.
  const form = document.getElementById("trial");
  const send = (mode) => {
    const file = form.file.files[0];
    const limit = Number(form.dataset.limit);
    const place = form.querySelector(".sending"), bar = place.querySelector("progress"), text = place.querySelector("span");
    const refused = (why) => { place.hidden = false; bar.hidden = true; text.textContent = why; };
    if (file && file.size > limit) { refused(`The file is too large: at most ${Math.floor(limit / 1048576)} MB. Pack it (gzip), or send its end.`); return; }
    const data = new FormData(form);
    data.set("mode", mode);
    if (file) data.set("log", "");
    const request = new XMLHttpRequest();
    place.hidden = bar.hidden = false;
    request.upload.onprogress = (event) => { bar.value = 100 * event.loaded / event.total; text.textContent = event.loaded < event.total ? `${Math.floor(bar.value)} % sent` : "reading it"; };
    request.onload = () => {
      if (request.status < 400) location.assign(request.responseURL);
      else refused(new DOMParser().parseFromString(request.responseText, "text/html").querySelector(".hero p")?.textContent || "It was not accepted");
    };
    request.onerror = () => refused("The service cannot be reached");
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/html");
    request.send(data);
  };
  if (form) {
    const drop = form.querySelector(".drop");
    const take = (files) => { form.file.files = files; said(`${files[0].name} is chosen`); };
    form.addEventListener("submit", (event) => {
      if (!form.file.files.length) return;
      event.preventDefault();
      send(event.submitter?.value || "wait");
    });
    for (const name of ["dragover", "dragenter"]) form.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const name of ["dragleave", "drop"]) form.addEventListener(name, () => drop.classList.remove("over"));
    form.addEventListener("drop", (event) => { if (event.dataTransfer.files.length) { event.preventDefault(); take(event.dataTransfer.files); } });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => event.preventDefault());
  }
  remember();
  unfold();
})();
