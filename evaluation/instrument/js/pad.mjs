// A field to play on: pitch from left to right, loudness from below to above.

import { noteName } from "./keyboard.mjs";

const SEMITONES = 24; // from the left edge to the right
const ID = "pad";

/** Plays where a finger, a mouse or the arrow keys point. */
export class Pad {
  /**
   * @param {HTMLElement} element The field.
   * @param {object} options `middle`: MIDI note of its middle; `send`; `start`; `onMove`:
   *   told what is played, as text.
   */
  constructor(element, { middle, send, start, onMove }) {
    Object.assign(this, { element, middle, send, start, onMove });
    this.x = this.y = 0.5;
    this.isDown = false;
    this.finger = null; // that points
    this.dot = element.querySelector(".dot");
    element.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      element.setPointerCapture(event.pointerId);
      this.finger = event.pointerId;
      this.point(event);
      this.press();
    });
    element.addEventListener("pointermove", (event) => {
      if (!this.isDown || event.pointerId !== this.finger) return;
      this.point(event);
      this.move();
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, ({ pointerId }) => { if (pointerId === this.finger) this.release(); });
    }
    element.addEventListener("keydown", (event) => this.keyDown(event));
    element.addEventListener("keyup", (event) => { if (event.key === " ") this.release(); });
    element.addEventListener("blur", () => this.release());
    this.draw();
  }

  get midi() {
    return this.middle + SEMITONES * (this.x - 0.5);
  }

  point({ clientX, clientY }) {
    const box = this.element.getBoundingClientRect();
    this.x = Math.min(Math.max((clientX - box.left) / box.width, 0), 1);
    this.y = Math.min(Math.max(1 - (clientY - box.top) / box.height, 0), 1);
  }

  press() {
    this.isDown = true;
    this.start();
    this.send({ note: "on", id: ID, midi: this.midi, share: this.y });
    this.draw();
  }

  move() {
    if (this.isDown) this.send({ note: "move", id: ID, midi: this.midi, share: this.y });
    this.draw();
  }

  release() {
    if (!this.isDown) return;
    this.isDown = false;
    this.send({ note: "off", id: ID });
    this.draw();
  }

  draw() {
    this.dot.style.left = `${100 * this.x}%`;
    this.dot.style.top = `${100 * (1 - this.y)}%`;
    this.element.classList.toggle("down", this.isDown);
    this.onMove(`${noteName(Math.round(this.midi))}, ${Math.round(100 * this.y)} % loud`);
  }

  keyDown(event) {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (steps) {
      this.x = Math.min(Math.max(this.x + steps[0] / SEMITONES, 0), 1);
      this.y = Math.min(Math.max(this.y + steps[1] / 20, 0), 1);
      this.move();
    } else if (event.key !== " ") return;
    else if (!event.repeat) this.press();
    event.preventDefault();
    event.stopPropagation();
  }
}
