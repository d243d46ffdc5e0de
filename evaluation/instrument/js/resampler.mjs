// From any sample rate to another, as a stream, by windowed sinc.

const ZEROS = 16; // zero crossings of the sinc to either side
const STEPS = 256; // of the table between two samples

/** Resamples a stream; its output lags behind by `ZEROS` samples of the slower rate. */
export class Resampler {
  /**
   * @param {number} from Hz.
   * @param {number} to Hz.
   */
  constructor(from, to) {
    this.ratio = from / to;
    if (this.ratio === 1) return;
    const cutoff = Math.min(1, to / from) * 0.94; // of the input's Nyquist frequency
    this.reach = Math.ceil(ZEROS / cutoff);
    this.table = new Float64Array(this.reach * STEPS + STEPS + 1);
    for (let i = 0; i < this.table.length; i++) {
      const x = i / STEPS;
      const window = x < this.reach ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.reach) : 0;
      const angle = Math.PI * x * cutoff;
      this.table[i] = cutoff * window * (angle ? Math.sin(angle) / angle : 1);
    }
    this.size = 4096;
    this.ring = new Float64Array(this.size);
    this.written = 0; // samples so far
    this.next = 0; // where the next output sample lies, in input samples
  }

  /**
   * Takes samples and hands out what they allow.
   * @param {Float32Array} input Any number.
   * @param {function(number): void} take Called with every sample of the output.
   */
  push(input, take) {
    if (this.ratio === 1) {
      for (const sample of input) take(sample);
      return;
    }
    const mask = this.size - 1;
    for (const sample of input) {
      this.ring[this.written++ & mask] = sample;
      while (this.next + this.reach < this.written) {
        take(this.at(this.next));
        this.next += this.ratio;
      }
    }
  }

  /** The signal between samples. */
  at(position) {
    const mask = this.size - 1;
    const first = Math.ceil(position - this.reach);
    let sum = 0;
    for (let i = Math.max(first, 0); i <= position + this.reach; i++) {
      const place = Math.abs(i - position) * STEPS;
      const step = Math.floor(place), rest = place - step;
      sum += this.ring[i & mask] * (this.table[step] + rest * (this.table[step + 1] - this.table[step]));
    }
    return sum;
  }
}
