// Keys to play on: the computer's, and those on the screen.

const NAMES = ["C", "C sharp", "D", "D sharp", "E", "F", "F sharp", "G", "G sharp", "A", "A sharp", "B"];
const BLACK = new Set([1, 3, 6, 8, 10]);
// Places on the keyboard, not letters, so that it is the same on any layout.
const CODES = [
  "KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU", "KeyJ",
  "KeyK", "KeyO", "KeyL", "KeyP", "Semicolon", "Quote",
];
const NARROW = 560; // pixels, below which one octave is shown
const BEND_PER_KEY = 0.5; // semitones when a finger moves as far as a key is wide
const TAKES_SPACE = "button, input, select, summary, audio, a, [role=application]";
const TAKES_LETTERS = "input:not([type=range]):not([type=checkbox]):not([type=file]), select, textarea";
const TAP_MS = 400; // that a note lasts which is not held
const START_SHARE = 0.7, SHARE_STEP = 0.1;

/** A note's name for people who listen to the page. */
export function noteName(midi) {
  return `${NAMES[midi % 12]} ${Math.floor(midi / 12) - 1}`;
}

/** Both keyboards. */
export class Keyboard {
  /**
   * @param {HTMLElement} element Where the keys on the screen go.
   * @param {object} options `lowest`: MIDI note of the first key, a C; `send`: takes
   *   messages; `start`: makes sound possible; `onChange`: told when lowest or share move.
   */
  constructor(element, { lowest, send, start, onChange }) {
    Object.assign(this, { element, lowest, send, start, onChange });
    this.share = START_SHARE;
    this.pointers = new Map(); // finger -> { midi, x }
    this.codes = new Map(); // computer key, or what taps -> MIDI note
    this.pedal = this.mod = false; // whether held by a computer key
    this.build();
    this.listenToPointers();
    this.listenToKeys();
    addEventListener("resize", () => { if (this.count !== this.wanted()) this.build(); });
    addEventListener("blur", () => this.release());
  }

  wanted() {
    return (this.element.clientWidth || innerWidth) < NARROW ? 13 : 25;
  }

  /** Makes the keys. */
  build() {
    this.count = this.wanted();
    const nWhite = this.count === 13 ? 8 : 15;
    let white = 0;
    const keys = Array.from({ length: this.count }, (_, i) => {
      const isBlack = BLACK.has(i % 12);
      const key = document.createElement("button");
      key.type = "button";
      key.className = isBlack ? "key black" : "key white";
      key.dataset.step = i;
      key.tabIndex = i === 0 ? 0 : -1;
      key.style.left = `${(100 * (isBlack ? white - 0.3 : white)) / nWhite}%`;
      key.style.width = `${(100 * (isBlack ? 0.6 : 1)) / nWhite}%`;
      if (!isBlack) white++;
      return key;
    });
    this.element.replaceChildren(...keys);
    this.label();
  }

  label() {
    for (const key of this.element.children) {
      const midi = this.lowest + Number(key.dataset.step);
      key.setAttribute("aria-label", noteName(midi));
      key.textContent = midi % 12 === 0 ? `C${Math.floor(midi / 12) - 1}` : "";
    }
  }

  /** Moves all keys by octaves. */
  shift(octaves) {
    const lowest = this.lowest + 12 * octaves;
    if (lowest < 12 || lowest > 96) return;
    this.release();
    this.lowest = lowest;
    this.label();
    this.onChange();
  }

  setShare(share) {
    this.share = Math.min(Math.max(Math.round(10 * share) / 10, 0), 1);
    this.onChange();
  }

  setPedal(isDown) {
    this.pedal = isDown;
    this.send({ pedal: isDown });
  }

  setMod(isDown) {
    this.mod = isDown;
    this.send({ play: { mod: isDown ? 1 : 0 } });
  }

  on(id, midi, share) {
    this.start();
    this.send({ note: "on", id, midi, share });
    this.show(midi, true);
  }

  off(id, midi) {
    this.send({ note: "off", id });
    this.show(midi, false);
  }

  show(midi, isDown) {
    this.element.children[midi - this.lowest]?.classList.toggle("down", isDown);
  }

  /** Lets go of what these keyboards hold, and of nothing else: MIDI plays on. */
  release() {
    for (const [id, { midi }] of this.pointers) this.off(`finger${id}`, midi);
    for (const [code, midi] of this.codes) this.off(code, midi);
    this.pointers.clear();
    this.codes.clear();
    if (this.pedal) this.setPedal(false);
    if (this.mod) this.setMod(false);
  }

  /** Ends all that sounds, whoever plays it. */
  silence() {
    this.release();
    this.setPedal(false);
    this.setMod(false);
    this.send({ note: "allOff" });
  }

  listenToPointers() {
    const { element } = this;
    const under = ({ clientX, clientY }) => {
      const key = document.elementFromPoint(clientX, clientY)?.closest?.(".key");
      if (!key || key.parentElement !== element) return null;
      const box = key.getBoundingClientRect();
      return { midi: this.lowest + Number(key.dataset.step), width: box.width, share: 0.2 + 0.8 * ((clientY - box.top) / box.height) };
    };
    const press = (event, found) => {
      this.pointers.set(event.pointerId, { midi: found.midi, x: event.clientX });
      this.on(`finger${event.pointerId}`, found.midi, found.share);
    };
    // A finger takes no focus: space stays the pedal.
    element.addEventListener("mousedown", (event) => event.preventDefault());
    element.addEventListener("pointerdown", (event) => {
      const found = under(event);
      if (!found || event.button) return;
      element.setPointerCapture(event.pointerId);
      press(event, found);
    });
    element.addEventListener("pointermove", (event) => {
      const finger = this.pointers.get(event.pointerId);
      const found = finger && under(event);
      if (!found) return;
      if (found.midi !== finger.midi) {
        this.show(finger.midi, false);
        press(event, found);
      } else {
        const bend = (BEND_PER_KEY * (event.clientX - finger.x)) / found.width;
        this.send({ note: "move", id: `finger${event.pointerId}`, bend, share: found.share });
      }
    });
    element.addEventListener("click", ({ detail, target }) => {
      const key = target.closest(".key");
      if (detail === 0 && key) this.tap(this.lowest + Number(key.dataset.step));
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, (event) => { // wherever the finger is by then
        const finger = this.pointers.get(event.pointerId);
        this.pointers.delete(event.pointerId);
        if (finger) this.off(`finger${event.pointerId}`, finger.midi);
      });
    }
  }

  /** Plays a short note for what presses neither by pointer nor by key, as screen readers do. */
  tap(midi) {
    const id = `tap${midi}`;
    this.lift(id);
    this.codes.set(id, midi);
    this.on(id, midi, this.share);
    setTimeout(() => this.lift(id), TAP_MS);
  }

  listenToKeys() {
    addEventListener("keydown", (event) => this.keyDown(event));
    addEventListener("keyup", (event) => {
      if (this.codes.has(event.code) && event.target.closest?.(".key")) event.preventDefault(); // no click besides
      this.lift(event.code);
      // macOS tells of no key that is let go under command.
      if (event.key === "Meta") for (const code of [...this.codes.keys()]) this.lift(code);
      if (event.key === "Shift" && this.mod) this.setMod(false);
      if (event.code === "Space" && this.pedal) this.setPedal(false);
    });
  }

  lift(code) {
    const midi = this.codes.get(code);
    this.codes.delete(code);
    if (midi !== undefined) this.off(code, midi);
  }

  keyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onKey = event.target.closest?.(".key");
    if (onKey && this.walk(event, onKey)) {
      event.preventDefault();
      return;
    }
    if (event.target.matches?.(TAKES_LETTERS)) return;
    const step = CODES.indexOf(event.code);
    if (step >= 0) event.preventDefault(); // Firefox would search the page for what follows a '
    if (event.repeat) return;
    if (event.key === "Shift") this.setMod(true);
    if (event.code === "Space" && !event.target.closest?.(TAKES_SPACE)) {
      this.setPedal(true);
      event.preventDefault(); // it would scroll
    }
    const commands = {
      KeyZ: () => this.shift(-1), KeyX: () => this.shift(1),
      KeyC: () => this.setShare(this.share - SHARE_STEP), KeyV: () => this.setShare(this.share + SHARE_STEP),
      Escape: () => this.silence(),
    };
    commands[event.code]?.();
    if (step >= 0 && !this.codes.has(event.code)) {
      this.codes.set(event.code, this.lowest + step);
      this.on(event.code, this.lowest + step, this.share);
    }
  }

  /** Arrows walk along the keys on the screen; Enter and space play the one in focus. */
  walk(event, key) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const keys = [...this.element.children];
    if (step) {
      const next = keys[keys.indexOf(key) + step];
      if (!next) return true;
      key.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      return true;
    }
    if (event.key !== "Enter" && event.key !== " ") return false;
    if (event.repeat || this.codes.has(event.code)) return true;
    const midi = this.lowest + Number(key.dataset.step);
    this.codes.set(event.code, midi);
    this.on(event.code, midi, this.share);
    return true;
  }
}
