// A real Fourier transform of a power of two, for the reverb and the trackers.

/** Complex transform in place, radix 2; tables are made once. */
export class Fft {
  /** @param {number} size A power of two, at least 2. */
  constructor(size) {
    if (size < 2 || size & (size - 1)) throw new Error(`an FFT of ${size}: give a power of two`);
    this.size = size;
    this.cosine = new Float64Array(size / 2);
    this.sine = new Float64Array(size / 2);
    for (let i = 0; i < size / 2; i++) {
      this.cosine[i] = Math.cos((2 * Math.PI * i) / size);
      this.sine[i] = Math.sin((2 * Math.PI * i) / size);
    }
    this.order = new Uint32Array(size);
    for (let i = 1; i < size; i++) this.order[i] = (this.order[i >> 1] >> 1) | (i & 1 ? size >> 1 : 0);
  }

  /**
   * Transforms in place.
   * @param {Float64Array} real [size].
   * @param {Float64Array} imag [size].
   * @param {boolean} [inverse] Whether back, without dividing by the size.
   */
  transform(real, imag, inverse = false) {
    const { size, cosine, sine, order } = this;
    for (let i = 0; i < size; i++) {
      const j = order[i];
      if (j > i) {
        [real[i], real[j]] = [real[j], real[i]];
        [imag[i], imag[j]] = [imag[j], imag[i]];
      }
    }
    const sign = inverse ? 1 : -1;
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let i = 0; i < half; i++) {
          const c = cosine[i * stride], s = sign * sine[i * stride];
          const a = start + i, b = a + half;
          const re = real[b] * c - imag[b] * s, im = real[b] * s + imag[b] * c;
          real[b] = real[a] - re;
          imag[b] = imag[a] - im;
          real[a] += re;
          imag[a] += im;
        }
      }
    }
  }
}
