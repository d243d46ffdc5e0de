// Controls -> audio, a frame at a time: harmonics with carried phase, filtered noise.
//
// Frame i stands at sample i * hop; between two frames the pitch is linear and amplitudes
// cross over, so sound comes when the next frame is known. Phases are kept in double
// precision, modulo one cycle, so they stay exact for any length.

import { Arena, padded } from "./kernel.mjs";

/** Harmonics from one frame to the next. */
export class Harmonics {
  /** @param {object} settings `sample_rate`, `hop_size`, `n_harmonics`, `amplitude_method`. */
  constructor({ sample_rate: rate, hop_size: hop, n_harmonics: count, amplitude_method: method }) {
    this.rate = rate;
    this.hop = hop;
    this.fade = Float64Array.from({ length: hop }, (_, i) => {
      return method === "window" ? 0.5 - 0.5 * Math.cos((Math.PI * i) / hop) : i / hop;
    });
    this.loud = new Float64Array(count); // of the frame before
    this.next = new Float64Array(count);
    this.reset();
  }

  reset() {
    this.loud.fill(0);
    this.f0 = 0;
    this.phase = 0; // cycles
    this.running = false; // whether there was a frame before
  }

  /**
   * Plays from the frame before to this one.
   * @param {object} controls `amps`, `harmonics`, `f0` of this frame.
   * @param {Float32Array} output [hop]; written.
   */
  step({ amps, harmonics, f0 }, output) {
    const { rate, hop, fade, loud, next } = this;
    for (let k = 0; k < next.length; k++) next[k] = amps[0] * harmonics[k];
    const first = this.running ? this.f0 : f0[0];
    const change = f0[0] - first;
    for (let i = 0; i < hop; i++) {
      // As in ddsp, a sample's phase includes its own frequency.
      const cycles = this.phase + ((i + 1) * first + (change * i * (i + 1)) / (2 * hop)) / rate;
      output[i] = this.sum(2 * Math.PI * (cycles - Math.floor(cycles)), first + (change * i) / hop, fade[i]);
    }
    if (this.running) {
      this.phase += (0.5 * (hop + 1) * first + 0.5 * (hop - 1) * f0[0]) / rate;
      this.phase -= Math.floor(this.phase);
    }
    this.running = true;
    this.f0 = f0[0];
    this.loud = next;
    this.next = loud;
  }

  /** One sample: sin(k angle) by its recurrence, harmonics below Nyquist alone. */
  sum(angle, f0Hz, fadeIn) {
    const { loud, next } = this;
    const highest = Math.min(loud.length, Math.ceil(this.rate / 2 / f0Hz) - 1);
    const twice = 2 * Math.cos(angle);
    let sine = Math.sin(angle), before = 0, left = 0, right = 0;
    for (let k = 0; k < highest; k++) {
      left += loud[k] * sine;
      right += next[k] * sine;
      const after = twice * sine - before;
      before = sine;
      sine = after;
    }
    return left + fadeIn * (right - left);
  }
}

/** White noise through a filter for every frame. */
export class FilteredNoise {
  /**
   * @param {object} settings `hop_size`, `latency_frames`.
   * @param {Float32Array} responses Impulse response of each band alone, [nBands, nTaps].
   * @param {number} nBands Bands; 0 for no noise.
   * @param {boolean} [plain] Whether to do without WebAssembly.
   */
  constructor({ hop_size: hop, latency_frames: latency }, responses, nBands, plain = false) {
    this.hop = hop;
    this.nBands = nBands;
    this.nTaps = nBands ? responses.length / nBands : 1;
    this.arena = new Arena(4 * (padded(nBands) * (this.nTaps + 1) + padded(this.nTaps)) + 4096, plain);
    const columns = Float32Array.from({ length: nBands * this.nTaps }, (_, i) => {
      return responses[(i % nBands) * this.nTaps + Math.floor(i / nBands)];
    });
    this.matrix = nBands ? this.arena.matrix(columns, this.nTaps, nBands, null) : null;
    this.magnitudes = this.arena.vector(nBands);
    this.taps = this.arena.vector(this.nTaps);
    // ddsp drops so much of the convolution to centre the filter.
    const lead = Math.floor((this.nTaps - 1) / 2) - 1;
    this.offset = latency * hop - lead;
    this.tail = new Float32Array(this.offset + hop + this.nTaps);
  }

  reset() {
    this.tail.fill(0);
  }

  /**
   * Filters the noise of a frame.
   * @param {Float32Array} magnitudes [nBands].
   * @param {Float32Array} noise White, in [-1, 1], [hop].
   * @param {Float32Array} output [hop]; written.
   */
  step(magnitudes, noise, output) {
    const { hop, nBands, nTaps, taps, tail, offset } = this;
    if (nBands) {
      this.magnitudes.set(magnitudes);
      this.arena.multiply(this.matrix, this.magnitudes, taps);
      for (let i = 0; i < hop; i++) {
        const sample = noise[i], start = offset + i;
        for (let t = 0; t < nTaps; t++) tail[start + t] += sample * taps[t];
      }
    }
    for (let i = 0; i < hop; i++) output[i] = tail[i];
    tail.copyWithin(0, hop);
    tail.fill(0, tail.length - hop);
  }
}

/** Uniform noise in [-1, 1] by xorshift; plays for years before it repeats. */
export class WhiteNoise {
  constructor(seed = 1) {
    this.state = [seed >>> 0 || 1, 0x9e3779b9, 0x243f6a88, 0xb7e15162];
  }

  fill(output) {
    const state = this.state;
    for (let i = 0; i < output.length; i++) {
      let t = state[0];
      const s = state[3];
      t ^= t << 11;
      t ^= t >>> 8;
      [state[0], state[1], state[2]] = [state[1], state[2], s];
      state[3] = (t ^ s ^ (s >>> 19)) >>> 0;
      output[i] = state[3] / 2147483648 - 1;
    }
  }
}
