"use strict";
// Players: one sounds at a time; the tracks of a clip share one position.
(() => {
  const clips = [...document.querySelectorAll("[data-clip]")];
  let current = null; // the player that sounds, or sounded last

  const seconds = (value) => `${value.toFixed(1)} s`;

  class Player {
    constructor(element, clip) {
      this.clip = clip;
      this.audio = element.querySelector("audio");
      this.button = element.querySelector(".play");
      this.slider = element.querySelector("input");
      this.output = element.querySelector("output");
      this.pictures = [...element.querySelectorAll(".picture")];
      this.button.addEventListener("click", () => this.toggle());
      this.slider.addEventListener("input", () => this.seek(this.slider.value / 1000));
      for (const picture of this.pictures) {
        picture.addEventListener("click", (event) => {
          const box = picture.getBoundingClientRect();
          this.seek((event.clientX - box.left) / box.width);
          this.play();
        });
      }
      this.audio.addEventListener("play", () => this.show(true));
      this.audio.addEventListener("pause", () => this.show(false));
      this.audio.addEventListener("ended", () => { this.audio.currentTime = 0; this.clip.draw(0); });
      this.audio.addEventListener("error", () => this.fail());
    }
    get duration() { return Number.isFinite(this.audio.duration) ? this.audio.duration : this.clip.secs; }
    show(playing) {
      this.button.setAttribute("aria-pressed", String(playing));
      this.button.setAttribute("aria-label", this.button.dataset[playing ? "pause" : "play"]);
    }
    play() {
      if (current && current !== this) {
        const from = current;
        from.audio.pause();
        if (from.clip === this.clip) this.audio.currentTime = from.audio.currentTime;
      }
      current = this;
      return this.audio.play().then(() => this.follow(), (error) => {
        if (error.name !== "AbortError") this.fail();
      });
    }
    fail() {
      this.output.setAttribute("aria-live", "polite"); // unlike the time, worth a word
      this.output.textContent = "cannot be played";
    }
    toggle() { return this.audio.paused ? this.play() : this.audio.pause(); }
    seek(share) {
      const bounded = Math.min(0.999, Math.max(0, share));
      this.audio.currentTime = bounded * this.duration;
      if (this.audio.paused && current && current.clip === this.clip && current !== this) {
        current.audio.currentTime = this.audio.currentTime;
      }
      this.clip.draw(bounded);
    }
    follow() {
      cancelAnimationFrame(this.frame); // playing again while it plays begins no second loop
      this.frame = requestAnimationFrame(() => {
        this.clip.draw(this.audio.currentTime / this.duration);
        if (!this.audio.paused) this.follow();
      });
    }
    draw(share) {
      this.slider.value = Math.round(share * 1000);
      this.slider.setAttribute("aria-valuetext", seconds(share * this.duration));
      this.output.textContent = seconds(share * this.duration);
      for (const picture of this.pictures) {
        const cursor = picture.querySelector(".cursor");
        cursor.style.left = `${share * 100}%`;
        cursor.style.opacity = share > 0 ? 1 : 0;
      }
    }
  }

  class Clip {
    constructor(element) {
      this.element = element;
      this.secs = Number(element.dataset.secs);
      this.players = [...element.querySelectorAll(".track")].map((track) => new Player(track, this));
    }
    draw(share) { for (const player of this.players) player.draw(share); }
  }

  const made = clips.map((element) => new Clip(element));
  const nearest = () => current ? current.clip : made[0];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, textarea, select")) return;
    const clip = nearest();
    if (!clip) return;
    if (/^[1-9]$/.test(event.key)) {
      const player = clip.players[Number(event.key) - 1];
      if (player) { event.preventDefault(); if (!event.repeat) player.play(); }
    } else if (event.key === " " && !event.target.closest("button, summary, a, [tabindex]")) {
      event.preventDefault(); // it would scroll, held down too
      if (!event.repeat) (current || clip.players[0]).toggle();
    }
  });
})();

// Tables: a click on a column's head sorts by it, a second click turns it round.
(() => {
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort;
    if (text === undefined) return cell.textContent.trim();
    return text === "" ? null : Number(text);
  };
  const compare = (one, other) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button.sort");
      if (!button) return;
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map((row, place) => ({ row, place, key: key(row, column) }));
        rows.sort((a, b) => {
          const missing = (a.key === null) - (b.key === null);
          if (missing) return missing; // missing scores stay last either way
          return (falling ? -1 : 1) * compare(a.key, b.key) || a.place - b.place;
        });
        table.tBodies[0].append(...rows.map((item) => item.row));
      });
    });
  }
})();
