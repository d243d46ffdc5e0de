// Fits what a microphone hears to what the model learned: octaves and loudness.
//
// A live form of the renderer's `--match`: the loud end of the last seconds goes where the
// loud end of the training data is, which follows slowly, so dynamics stay. The pitch moves
// by the octaves that bring the first note near the median of the training data; it takes
// others only when a melody has long left that octave.

import { quantile } from "./performer.mjs";

const MEMORY_SECS = 8; // in which old frames are forgotten
const LOUD = 0.9; // quantile that is matched
const BINS = 120, LOWEST_DB = -80; // of 1 dB
const MAX_SHIFT_DB = 40;
const OCTAVE_MARGIN = 13; // semitones off the median before a melody changes its octave

/** Moves pitch and loudness. */
export class Matching {
  /**
   * @param {number} frameRate Frames a second.
   * @param {object} profile `loudness_db` and `pitch_midi`, quantiles of the training data.
   */
  constructor(frameRate, profile) {
    this.targetDb = quantile(profile.loudness_db, LOUD);
    this.targetMidi = quantile(profile.pitch_midi, 0.5);
    this.keep = Math.exp(-1 / (MEMORY_SECS * frameRate));
    this.reset();
  }

  reset() {
    this.counts = new Float64Array(BINS);
    this.weight = 0;
    this.shiftDb = 0;
    this.midi = null; // running mean of the pitch
    this.octaves = 0;
  }

  /** Moves a frame, in place; silence stays silence. */
  apply(frame) {
    if (frame.confidence > 0.5) this.learn(frame);
    if (frame.loudnessDb > LOWEST_DB) frame.loudnessDb = Math.max(frame.loudnessDb + this.shiftDb, LOWEST_DB);
    frame.f0Hz *= 2 ** this.octaves;
  }

  learn({ f0Hz, loudnessDb }) {
    for (let bin = 0; bin < BINS; bin++) this.counts[bin] *= this.keep;
    const bin = Math.min(Math.max(Math.floor(loudnessDb - LOWEST_DB), 0), BINS - 1);
    this.counts[bin] += 1;
    this.weight = this.weight * this.keep + 1;
    let left = (1 - LOUD) * this.weight, top = BINS - 1;
    while (top > 0 && left > this.counts[top]) left -= this.counts[top--];
    const wanted = this.targetDb - (LOWEST_DB + top + 0.5);
    const bounded = Math.min(Math.max(wanted, -MAX_SHIFT_DB), MAX_SHIFT_DB);
    this.shiftDb += (bounded - this.shiftDb) * Math.max(1 / this.weight, 0.01);
    const midi = 69 + 12 * Math.log2(f0Hz / 440);
    if (this.midi === null) {
      this.midi = midi;
      this.octaves = Math.round((this.targetMidi - midi) / 12);
    }
    this.midi += (midi - this.midi) * Math.max(1 / this.weight, 0.002);
    const off = this.midi + 12 * this.octaves - this.targetMidi;
    if (Math.abs(off) > OCTAVE_MARGIN) this.octaves -= Math.round(off / 12);
  }
}
