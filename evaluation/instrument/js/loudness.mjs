// A-weighted loudness as preparation measures it (prep's loudness formula).
//
// Power of a Hann window of 512 samples at 16 kHz, weighted and divided by the number of
// bins, in dB, floor -80; full scale is near +20.

import { Fft } from "./fft.mjs";

export const LOUDNESS_RATE = 16000; // Hz
export const LOUDNESS_WINDOW = 512; // samples
export const MIN_DB = -80;

/** A-weighting of a frequency in dB, floored at -80 as librosa's. */
function aWeighting(hz) {
  const f = hz * hz;
  const db = 2 + 20 * (Math.log10(12194.217 ** 2) + 2 * Math.log10(f)
    - Math.log10(f + 12194.217 ** 2) - Math.log10(f + 20.598997 ** 2)
    - 0.5 * Math.log10(f + 107.65265 ** 2) - 0.5 * Math.log10(f + 737.86223 ** 2));
  return Math.max(hz > 0 ? db : -Infinity, -80);
}

/** Measures windows. */
export class Loudness {
  constructor() {
    const size = LOUDNESS_WINDOW;
    const bins = size / 2 + 1;
    this.fft = new Fft(size);
    this.real = new Float64Array(size);
    this.imag = new Float64Array(size);
    this.window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    this.weights = Float64Array.from({ length: bins }, (_, bin) => {
      return 10 ** (aWeighting((bin * LOUDNESS_RATE) / size) / 10) / bins;
    });
  }

  /** Loudness in dB of the 512 samples from `start` on. */
  measure(samples, start = 0) {
    const { fft, real, imag, window, weights } = this;
    for (let i = 0; i < window.length; i++) real[i] = samples[start + i] * window[i];
    imag.fill(0);
    fft.transform(real, imag);
    let power = 0;
    for (let bin = 0; bin < weights.length; bin++) {
      power += weights[bin] * (real[bin] * real[bin] + imag[bin] * imag[bin]);
    }
    return power > 1e-8 ? Math.max(10 * Math.log10(power), MIN_DB) : MIN_DB;
  }
}
