// A microphone's samples -> pitch, loudness and confidence on the model's time grid.
//
// Frame i describes the signal around sample i * hop at 16 kHz, as in preparation; it is
// known when half a pitch window has passed after it, 32 ms.

import { Loudness, LOUDNESS_WINDOW, MIN_DB } from "./loudness.mjs";
import { PITCH_RATE, PITCH_WINDOW, PitchTracker } from "./pitch.mjs";
import { Resampler } from "./resampler.mjs";

const CLEAR = 0.95, UNCLEAR = 0.6; // likeness that counts as certain, as no pitch
export const MIN_PITCHED_DB = -60; // below, a room's hum is no pitch

/** Listens to a stream. */
export class Ear {
  /**
   * @param {number} sampleRate Of what is pushed, Hz.
   * @param {number} frameRate Frames a second; divides 16000.
   */
  constructor(sampleRate, frameRate) {
    this.hop = PITCH_RATE / frameRate;
    this.resampler = new Resampler(sampleRate, PITCH_RATE);
    this.pitch = new PitchTracker();
    this.loudness = new Loudness();
    this.heard = new Float64Array(PITCH_WINDOW); // newest last
    this.fresh = new Float64Array(this.hop);
    this.nFresh = 0;
    this.lacking = PITCH_WINDOW / 2; // samples until frame 0 is known
    this.f0Hz = 440; // held where there is no pitch
  }

  /**
   * Takes samples.
   * @param {Float32Array} samples Any number.
   * @param {function({f0Hz: number, loudnessDb: number, confidence: number}): void} take
   *   Called with every frame that is known now.
   */
  push(samples, take) {
    this.resampler.push(samples, (sample) => {
      this.fresh[this.nFresh++] = sample;
      if (this.nFresh < Math.min(this.hop, this.lacking)) return;
      this.heard.copyWithin(0, this.nFresh);
      this.heard.set(this.fresh.subarray(0, this.nFresh), PITCH_WINDOW - this.nFresh);
      this.lacking -= this.nFresh;
      this.nFresh = 0;
      if (this.lacking > 0) return;
      this.lacking = this.hop;
      take(this.frame());
    });
  }

  /** The frame in the middle of what was heard. */
  frame() {
    const loudnessDb = this.loudness.measure(this.heard, (PITCH_WINDOW - LOUDNESS_WINDOW) / 2);
    const { f0Hz, clarity } = this.pitch.measure(this.heard);
    const share = (clarity - UNCLEAR) / (CLEAR - UNCLEAR);
    const confidence = loudnessDb > MIN_PITCHED_DB ? Math.min(Math.max(share, 0), 1) : 0;
    if (f0Hz > 0 && confidence > 0) this.f0Hz = f0Hz;
    return { f0Hz: this.f0Hz, loudnessDb: Math.max(loudnessDb, MIN_DB), confidence };
  }
}
