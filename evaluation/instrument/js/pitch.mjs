// The pitch of one voice, frame by frame, by McLeod's normalised autocorrelation.
//
// For live playing beside CREPE, which is too large for a page: the same window, 1024
// samples at 16 kHz, centred on the frame. Among the lags at which the window resembles
// itself the first strong one is the period, unless a better one lies near the pitch of
// the frame before. (Multiples of a period are as good as itself, never better.)
//
// Source: McLeod and Wyvill, "A smarter way to find pitch", ICMC 2005. Differs: the
// period is refined at its highest multiple in the window; octaves follow the past.

import { Fft } from "./fft.mjs";

export const PITCH_RATE = 16000; // Hz
export const PITCH_WINDOW = 1024; // samples
const MIN_HZ = 31.7, MAX_HZ = 2100; // CREPE's range, and a flute's highest note
const FIRST_SHARE = 0.8; // of the strongest peak, from which the first one is taken
const NEAR_LEAD = 0.02; // by which a peak near the pitch before must exceed the first one
const NEAR_OCTAVES = 0.25; // distance that counts as near
const REFINE_LAG = 400; // samples; multiples of the period are sought up to there
const SILENCE = 1e-9; // mean square of full scale below which nothing is looked for

/** Tracks the pitch of one voice. */
export class PitchTracker {
  constructor() {
    const size = PITCH_WINDOW;
    this.fft = new Fft(2 * size);
    this.real = new Float64Array(2 * size);
    this.imag = new Float64Array(2 * size);
    this.maxLag = Math.ceil(PITCH_RATE / MIN_HZ);
    this.likeness = new Float64Array(this.maxLag + 2); // in [-1, 1], by lag
    this.peaks = [];
    this.reset();
  }

  /** Forgets the pitch of the frame before. */
  reset() {
    this.before = 0; // Hz; 0 for none
  }

  /**
   * Measures a frame.
   * @param {Float64Array} window [1024], centred on the frame, at 16 kHz.
   * @returns {{f0Hz: number, clarity: number}} Pitch, 0 where nothing repeats, and how
   *   much the window resembles itself a period later, 0 to 1.
   */
  measure(window) {
    this.compare(window);
    this.findPeaks();
    const peak = this.choose();
    if (!peak) {
      this.before = 0;
      return { f0Hz: 0, clarity: 0 };
    }
    const f0Hz = PITCH_RATE / this.refine(peak.lag);
    this.before = peak.height > 0.5 ? f0Hz : 0;
    return { f0Hz, clarity: Math.min(Math.max(peak.height, 0), 1) };
  }

  /** Normalised autocorrelation of the window. */
  compare(window) {
    const { fft, real, imag, likeness, maxLag } = this;
    const size = PITCH_WINDOW;
    let mean = 0, energy = 0;
    for (let i = 0; i < size; i++) mean += window[i] / size;
    real.fill(0);
    imag.fill(0);
    for (let i = 0; i < size; i++) {
      real[i] = window[i] - mean;
      energy += real[i] * real[i];
    }
    if (!(energy > SILENCE * size)) {
      likeness.fill(0);
      return;
    }
    const squares = this.squares ??= new Float64Array(size);
    for (let i = 0; i < size; i++) squares[i] = real[i] * real[i];
    fft.transform(real, imag);
    for (let i = 0; i < fft.size; i++) {
      real[i] = real[i] * real[i] + imag[i] * imag[i];
      imag[i] = 0;
    }
    fft.transform(real, imag, true);
    let both = 2 * energy; // energy of the two stretches that are compared
    for (let lag = 0; lag <= maxLag + 1; lag++) {
      likeness[lag] = both > 0 ? (2 * real[lag]) / fft.size / both : 0;
      both -= squares[lag] + squares[size - 1 - lag];
    }
  }

  /** The highest point of every stretch above 0, after the one at lag 0. */
  findPeaks() {
    const { likeness, maxLag, peaks } = this;
    peaks.length = 0;
    let lag = 1;
    while (lag <= maxLag && likeness[lag] > 0) lag++;
    while (lag <= maxLag) {
      while (lag <= maxLag && likeness[lag] <= 0) lag++;
      let best = lag;
      while (lag <= maxLag && likeness[lag] > 0) {
        if (likeness[lag] > likeness[best]) best = lag;
        lag++;
      }
      if (best >= PITCH_RATE / MAX_HZ - 1 && best <= maxLag && likeness[best] > 0) peaks.push(this.vertex(best));
    }
  }

  /** Lag and height of a peak between samples, by a parabola. */
  vertex(lag) {
    const [left, middle, right] = [this.likeness[lag - 1], this.likeness[lag], this.likeness[lag + 1]];
    const bend = left - 2 * middle + right;
    const shift = bend < 0 ? Math.max(-0.5, Math.min(0.5, (0.5 * (left - right)) / bend)) : 0;
    return { lag: lag + shift, height: middle - 0.25 * (left - right) * shift };
  }

  /** The peak of the period. */
  choose() {
    let highest = 0;
    for (const { height } of this.peaks) highest = Math.max(highest, height);
    if (highest <= 0) return null;
    const first = this.peaks.find(({ height }) => height >= FIRST_SHARE * highest);
    if (!this.before) return first;
    const distance = ({ lag }) => Math.abs(Math.log2(PITCH_RATE / lag / this.before));
    if (distance(first) < NEAR_OCTAVES) return first;
    const near = this.peaks.filter((peak) => peak.height > first.height + NEAR_LEAD && distance(peak) < NEAR_OCTAVES);
    return near.length ? near.reduce((a, b) => (distance(a) < distance(b) ? a : b)) : first;
  }

  /** The period to a fraction of a sample, from its highest multiple that is as good. */
  refine(lag) {
    let period = lag;
    for (let multiple = 2; multiple * period < REFINE_LAG; multiple *= 2) {
      const centre = Math.round(multiple * period);
      let best = centre;
      for (let i = centre - 2; i <= centre + 2; i++) if (this.likeness[i] > this.likeness[best]) best = i;
      if (Math.abs(best - centre) === 2 || this.likeness[best] < 0.5) break;
      period = this.vertex(best).lag / multiple;
    }
    return period;
  }
}
