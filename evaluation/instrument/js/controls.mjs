// From a decoder's raw output to what the synthesiser plays: heads and smoothing.
//
// The arithmetic of the models' heads and smoothers, for one frame. Controls are
// { amps: [1], harmonics: [nHarmonics] (the distribution), noise: [nNoiseBands] }.

import { sigmoid } from "./decoder.mjs";

const LOG_10 = Math.log(10);
const DB_TO_LOG = LOG_10 / 20;

/** log(1 + e^x), without overflow. */
function softplus(x) {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** 2 sigmoid(x)^ln(10) + 1e-7, ddsp's amplitude. */
function expSigmoid(x) {
  return 2 * Math.exp(-LOG_10 * softplus(-x)) + 1e-7;
}

const SCALES = { exp_sigmoid: expSigmoid, sigmoid, softplus };

/** Raw controls -> linear ones. */
export class Head {
  /** @param {object} settings `kind` and what Python's description of a head holds. */
  constructor(settings) {
    this.settings = settings;
    this.scaleNoise = SCALES[settings.noise_activation];
    this.scaleHarmonics = { exp_sigmoid: expSigmoid, legacy: sigmoid, normalized: softplus }[settings.kind];
  }

  /** Number of harmonics of a pitch that lie below the Nyquist frequency. */
  nAudible(f0Hz, nHarmonics) {
    if (!this.settings.mask_above_nyquist) return nHarmonics;
    const half = this.settings.sample_rate / 2;
    let count = Math.min(nHarmonics, Math.max(0, Math.ceil(half / f0Hz) - 1));
    while (count < nHarmonics && Math.fround(f0Hz * (count + 1)) < half) count++;
    while (count > 0 && !(Math.fround(f0Hz * count) < half)) count--;
    return count;
  }

  /** Masks a distribution and divides it by its sum, in place; returns the sum. */
  renormalize(harmonics, f0Hz) {
    harmonics.fill(0, this.nAudible(f0Hz, harmonics.length));
    let total = 0;
    for (const share of harmonics) total += share;
    if (total > 0) for (let k = 0; k < harmonics.length; k++) harmonics[k] /= total;
    return total;
  }

  /** Scales controls in place. */
  scale(controls, f0Hz) {
    const { amps, harmonics, noise } = controls;
    const { kind, noise_bias: bias } = this.settings;
    for (let i = 0; i < noise.length; i++) noise[i] = this.scaleNoise(noise[i] + bias);
    if (kind === "softmax_db") {
      this.softmax(harmonics, f0Hz);
      const { gain_min_db: low, gain_max_db: high } = this.settings;
      amps[0] = Math.exp(DB_TO_LOG * (low + sigmoid(amps[0]) * (high - low)));
    } else {
      for (let k = 0; k < harmonics.length; k++) harmonics[k] = this.scaleHarmonics(harmonics[k]);
      amps[0] = this.scaleHarmonics(amps[0]);
    }
    const total = this.renormalize(harmonics, f0Hz);
    if (kind === "legacy") amps[0] *= total / harmonics.length;
  }

  /** Softmax over the harmonics that sound, with a floor. */
  softmax(logits, f0Hz) {
    const { temperature, amp_floor: floor } = this.settings;
    const count = this.nAudible(f0Hz, logits.length);
    const used = count || logits.length; // none below Nyquist: all are masked again later
    let largest = -Infinity, total = 0;
    for (let k = 0; k < used; k++) largest = Math.max(largest, logits[k]);
    for (let k = 0; k < used; k++) {
      logits[k] = Math.exp((logits[k] - largest) / temperature);
      total += logits[k];
    }
    for (let k = 0; k < logits.length; k++) {
      logits[k] = (k < used ? (1 - floor) * (logits[k] / total) : 0) + floor / logits.length;
    }
  }
}

/** A linear filter with one or two states a channel, over all channels of a control. */
class StateSpace {
  /** @param {object} system `transition`, `input_gain`, `output_gain`, `feedthrough`, `settled`. */
  constructor(system, nChannels) {
    this.system = system;
    this.states = system.settled.map(() => new Float64Array(nChannels));
  }

  settle(frame) {
    this.states.forEach((state, s) => {
      for (let c = 0; c < frame.length; c++) state[c] = this.system.settled[s] * frame[c];
    });
  }

  step(frame) {
    const { transition, input_gain: b, output_gain: c, feedthrough } = this.system;
    const [first, second] = this.states;
    for (let i = 0; i < frame.length; i++) {
      const x = frame[i], u = first[i], v = second ? second[i] : 0;
      frame[i] = feedthrough * x + c[0] * u + (second ? c[1] * v : 0);
      first[i] = transition[0][0] * u + (second ? transition[0][1] * v : 0) + b[0] * x;
      if (second) second[i] = transition[1][0] * u + transition[1][1] * v + b[1] * x;
    }
  }
}

/** A symmetric average that looks ahead, so that its output comes late. */
class Fir {
  constructor(taps, nChannels) {
    this.taps = taps;
    this.earlier = taps.slice(1).map(() => new Float64Array(nChannels)); // oldest first
  }

  settle(frame) {
    for (const earlier of this.earlier) earlier.set(frame);
  }

  step(frame) {
    const newest = Float64Array.from(frame);
    const window = [...this.earlier, newest];
    for (let c = 0; c < frame.length; c++) {
      let sum = 0;
      this.taps.forEach((tap, lag) => { sum += tap * window[lag][c]; });
      frame[c] = sum;
    }
    this.earlier.push(newest);
    this.earlier.shift();
  }
}

/** Head and smoothing in the model's order. */
export class Controls {
  /**
   * @param {object} settings `head`, `smoothing` (or null), `n_harmonics`, `n_noise_bands`.
   */
  constructor(settings) {
    const { n_harmonics: nHarmonics, n_noise_bands: nBands } = settings;
    this.head = new Head(settings.head);
    this.smoothing = settings.smoothing;
    this.latencyFrames = this.smoothing?.latency_frames ?? 0;
    this.started = false;
    const sizes = { amps: 1, harmonics: nHarmonics, noise: nBands, f0: 1 };
    this.current = {};
    for (const [key, size] of Object.entries(sizes)) this.current[key] = new Float32Array(size);
    this.filters = Object.entries(this.smoothing?.targets ?? {}).map(([key, { systems, taps }]) => ({
      key,
      chain: taps ? [new Fir(taps, sizes[key])] : systems.map((system) => new StateSpace(system, sizes[key])),
    }));
    const smoothed = new Set(this.filters.map(({ key }) => key));
    this.late = Object.keys(sizes).filter((key) => !smoothed.has(key)).map((key) => ({
      key, queue: Array.from({ length: this.latencyFrames }, () => new Float32Array(sizes[key])),
    }));
  }

  /** Starts anew: the next frame settles all filters. */
  reset() {
    this.started = false;
  }

  /**
   * Makes the controls of a frame, `latencyFrames` late.
   * @param {Float32Array} raw amps, harmonics and noise bands as `order` says.
   * @param {number[]} starts Where amps, harmonics and noise begin in `raw`.
   * @param {number} f0Hz Pitch of the frame.
   * @returns {object} Controls with `f0`; overwritten by the next call.
   */
  step(raw, starts, f0Hz) {
    const { amps, harmonics, noise, f0 } = this.current;
    amps[0] = raw[starts[0]];
    for (let k = 0; k < harmonics.length; k++) harmonics[k] = raw[starts[1] + k];
    for (let i = 0; i < noise.length; i++) noise[i] = raw[starts[2] + i];
    f0[0] = f0Hz;
    if (!this.smoothing) {
      this.head.scale(this.current, f0Hz);
      return this.current;
    }
    const after = this.smoothing.position === "after";
    if (after) this.head.scale(this.current, f0Hz);
    this.smooth();
    if (!after) this.head.scale(this.current, f0[0]);
    else {
      for (const values of [amps, harmonics, noise]) {
        for (let i = 0; i < values.length; i++) if (values[i] < 0) values[i] = 0;
      }
      this.head.renormalize(harmonics, f0[0]);
    }
    return this.current;
  }

  smooth() {
    for (const { key, queue } of this.late) {
      if (!queue.length) continue;
      if (!this.started) for (const earlier of queue) earlier.set(this.current[key]);
      const oldest = queue.shift();
      const newest = Float32Array.from(this.current[key]);
      this.current[key].set(oldest);
      queue.push(newest);
    }
    for (const { key, chain } of this.filters) {
      for (const filter of chain) {
        if (!this.started) filter.settle(this.current[key]);
        filter.step(this.current[key]);
      }
    }
    this.started = true;
  }
}
