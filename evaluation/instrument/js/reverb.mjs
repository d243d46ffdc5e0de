// Convolution with a long impulse response, block by block, without delay.
//
// The first taps are one product of a matrix; the rest is cut into parts whose spectra
// are multiplied once in a while, just in time.
//
// Source: Gardner, "Efficient convolution without input-output delay", JAES 1995.

import { Fft } from "./fft.mjs";
import { Arena, padded } from "./kernel.mjs";

const HEAD = 512; // taps of the matrix, about, and of each part of the rest

/** What a reverb adds to a dry signal. */
export class Reverb {
  /**
   * @param {Float32Array} response Impulse response without the click itself.
   * @param {number} blockSize Samples in every block.
   * @param {boolean} [plain] Whether to do without WebAssembly.
   */
  constructor(response, blockSize, plain = false) {
    this.blockSize = blockSize;
    this.part = blockSize * Math.max(1, Math.floor(HEAD / blockSize));
    this.makeHead(response, plain);
    this.makeTail(response);
    this.reset();
  }

  /** The first taps as a matrix, a row for each sample of a block. */
  makeHead(response, plain) {
    const { part, blockSize } = this;
    const width = part + blockSize - 1;
    this.arena = new Arena(4 * padded(width) * (blockSize + 2) + 4096, plain);
    const rows = new Float32Array(blockSize * width);
    for (let row = 0; row < blockSize; row++) {
      for (let tap = 0; tap < part; tap++) rows[row * width + part - 1 + row - tap] = response[tap] ?? 0;
    }
    this.matrix = this.arena.matrix(rows, blockSize, width, null);
    this.heard = this.arena.vector(width); // newest last
    this.wet = this.arena.vector(blockSize);
  }

  /** Spectra of all parts of the response after the first. */
  makeTail(response) {
    const { part } = this;
    this.nParts = Math.max(0, Math.ceil(response.length / part) - 1);
    let size = 2;
    while (size < 2 * part) size *= 2;
    this.fft = new Fft(size);
    this.bins = size / 2 + 1;
    this.real = new Float64Array(size);
    this.imag = new Float64Array(size);
    const spectra = () => new Float32Array(this.nParts * this.bins);
    [this.partReal, this.partImag, this.ringReal, this.ringImag] = [spectra(), spectra(), spectra(), spectra()];
    for (let index = 0; index < this.nParts; index++) {
      this.real.fill(0);
      this.imag.fill(0);
      this.real.set(response.subarray((index + 1) * part, (index + 2) * part));
      this.fft.transform(this.real, this.imag);
      this.partReal.set(this.real.subarray(0, this.bins), index * this.bins);
      this.partImag.set(this.imag.subarray(0, this.bins), index * this.bins);
    }
    this.sumReal = new Float64Array(this.bins);
    this.sumImag = new Float64Array(this.bins);
    this.past = new Float64Array(2 * part); // the part before, and the one that fills
    this.ringing = new Float64Array(part);
  }

  /** Silence. */
  reset() {
    for (const array of [this.ringReal, this.ringImag, this.past, this.ringing, this.heard]) array.fill(0);
    this.newest = 0;
    this.place = 0; // in the part that fills
  }

  /**
   * Convolves a block.
   * @param {Float32Array} dry [blockSize].
   * @returns {Float32Array} [blockSize]; overwritten by the next call.
   */
  process(dry) {
    const { heard, wet, blockSize, ringing, place, part } = this;
    heard.copyWithin(0, blockSize);
    heard.set(dry, heard.length - blockSize);
    this.arena.multiply(this.matrix, heard, wet);
    for (let i = 0; i < blockSize; i++) wet[i] += ringing[place + i];
    this.past.set(dry, part + place);
    this.place += blockSize;
    if (this.place === part) this.turn();
    return wet;
  }

  /** A part is full: what all parts of the response make of the past, for the next one. */
  turn() {
    const { past, real, imag, fft, nParts, part, bins, sumReal, sumImag } = this;
    this.place = 0;
    if (nParts) {
      real.fill(0);
      imag.fill(0);
      real.set(past);
      fft.transform(real, imag);
      this.newest = (this.newest + 1) % nParts;
      this.ringReal.set(real.subarray(0, bins), this.newest * bins);
      this.ringImag.set(imag.subarray(0, bins), this.newest * bins);
      sumReal.fill(0);
      sumImag.fill(0);
      for (let index = 0; index < nParts; index++) {
        this.accumulate(index, (this.newest - index + nParts) % nParts);
      }
      for (let bin = 0; bin < bins; bin++) {
        real[bin] = sumReal[bin];
        imag[bin] = sumImag[bin];
        if (bin && bin < bins - 1) {
          real[fft.size - bin] = sumReal[bin];
          imag[fft.size - bin] = -sumImag[bin];
        }
      }
      fft.transform(real, imag, true);
      for (let i = 0; i < part; i++) this.ringing[i] = real[part + i] / fft.size;
    }
    past.copyWithin(0, part);
  }

  /** Adds one part's product with the spectrum that lies in a slot of the ring. */
  accumulate(index, slot) {
    const { partReal, partImag, ringReal, ringImag, sumReal, sumImag, bins } = this;
    for (let bin = 0, p = index * bins, s = slot * bins; bin < bins; bin++, p++, s++) {
      sumReal[bin] += partReal[p] * ringReal[s] - partImag[p] * ringImag[s];
      sumImag[bin] += partReal[p] * ringImag[s] + partImag[p] * ringReal[s];
    }
  }
}
