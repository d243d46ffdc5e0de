// A trained model, frame by frame: pitch, loudness and confidence in, samples out.
//
// The same numbers as `Player` of the models' streaming package, from which the program
// and its tensors are written (evaluation/instrument/program.py).

import { Controls } from "./controls.mjs";
import { Decoder } from "./decoder.mjs";
import { Reverb } from "./reverb.mjs";
import { FilteredNoise, Harmonics, WhiteNoise } from "./synth.mjs";

/**
 * Reads the tensors of a page.
 * @param {object[]} entries `name`, `dtype` ("f32" or "i8"), `shape`, `offset`, and
 *   `scales_offset` for 8 bits.
 * @param {ArrayBuffer} buffer What the offsets count in.
 */
export function readTensors(entries, buffer) {
  const tensors = {};
  for (const { name, dtype, shape, offset, scales_offset: scalesOffset } of entries) {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors[name] = dtype === "i8"
      ? { shape, values: new Int8Array(buffer, offset, size), scales: new Float32Array(buffer, scalesOffset, shape[0]) }
      : { shape, values: new Float32Array(buffer, offset, size) };
  }
  return tensors;
}

/** Features -> the decoder's inputs, as the models' conditioning. */
class Conditioning {
  /** @param {object} settings `semitone_range`, `db_range`, and `trends` or null. */
  constructor(settings) {
    this.settings = settings;
    const size = settings.trends?.n_frames_back ?? 0;
    this.earlier = { f0: new Float64Array(size), loudness: new Float64Array(size) };
    this.inputs = {};
    this.reset();
  }

  reset() {
    this.count = 0;
  }

  step(f0Hz, loudnessDb, confidence) {
    const { semitone_range: semitones, db_range: range, trends } = this.settings;
    const midi = f0Hz > 0 ? 69 + 12 * Math.log2(f0Hz / 440) : 0;
    const f0 = midi / semitones;
    const loudness = loudnessDb / range + 1;
    const inputs = this.inputs;
    inputs.f0_scaled = f0;
    inputs.ld_scaled = loudness;
    inputs.voicing = Math.min(Math.max(confidence, 0), 1);
    if (trends) {
      const place = this.count % trends.n_frames_back;
      const change = (values, now) => {
        if (this.count === 0) values.fill(now);
        const before = values[place];
        values[place] = now;
        return now - before;
      };
      inputs.f0_trend = Math.tanh(trends.f0_gain * change(this.earlier.f0, f0));
      inputs.loudness_trend = Math.tanh(trends.loudness_gain * change(this.earlier.loudness, loudness));
    }
    this.count = this.count + 1;
    return inputs;
  }
}

/** The whole model. */
export class Engine {
  /**
   * @param {object} program What Python describes.
   * @param {ArrayBuffer} buffer Its tensors.
   * @param {object} [options] `plain`: without WebAssembly; `seed`: which noise.
   */
  constructor(program, buffer, { plain = false, seed = 1 } = {}) {
    const tensors = readTensors(program.tensors, buffer);
    const synth = program.synth;
    this.program = program;
    this.hopSize = synth.hop_size;
    this.sampleRate = synth.sample_rate;
    this.frameRate = program.frame_rate;
    this.conditioning = new Conditioning(program.conditioning);
    this.decoder = new Decoder(program.decoder, tensors, plain);
    this.controls = new Controls({ ...program.controls, ...synth });
    this.latencyFrames = synth.latency_frames + this.controls.latencyFrames;
    this.harmonics = new Harmonics(synth);
    this.filteredNoise = new FilteredNoise(synth, tensors.noise_responses.values, synth.n_noise_bands, plain);
    this.reverb = tensors.reverb ? new Reverb(tensors.reverb.values, this.hopSize, plain) : null;
    this.source = new WhiteNoise(seed);
    const block = () => new Float32Array(this.hopSize);
    this.white = block();
    this.stems = { harmonic: block(), noise: block() };
    this.queue = Array.from({ length: synth.latency_frames - 1 }, block);
    this.count = 0;
  }

  /** Forgets everything but the reverb's tail. */
  reset() {
    this.conditioning.reset();
    this.decoder.reset();
    this.controls.reset();
    this.harmonics.reset();
    this.filteredNoise.reset();
    for (const block of this.queue) block.fill(0);
    this.count = 0;
  }

  /**
   * Plays a frame, dry.
   * @param {number} f0Hz Above 0, in silence too.
   * @param {number} loudnessDb As preparation measures it.
   * @param {number} confidence 1 for a pitch, 0 for none.
   * @param {Float32Array} [noise] White noise of the frame; drawn where absent.
   * @returns {{harmonic: Float32Array, noise: Float32Array}} `latencyFrames` late, each
   *   [hopSize]; overwritten by the next call.
   */
  step(f0Hz, loudnessDb, confidence, noise) {
    const { harmonic, noise: filtered } = this.stems;
    if (!noise) this.source.fill(this.white);
    const inputs = this.conditioning.step(f0Hz, loudnessDb, confidence);
    const raw = this.decoder.step(inputs);
    const now = this.controls.step(raw, this.program.decoder.starts, f0Hz);
    this.now = now;
    if (this.count >= this.controls.latencyFrames) {
      this.harmonics.step(now, harmonic);
      this.filteredNoise.step(now.noise, noise ?? this.white, filtered);
      this.delay(harmonic);
    } else {
      harmonic.fill(0);
      filtered.fill(0);
    }
    if (this.count < this.latencyFrames) {
      // What sounds before the beginning is an onset towards the first frame.
      harmonic.fill(0);
      filtered.fill(0);
    }
    this.count = Math.min(this.count + 1, this.latencyFrames + 1);
    return this.stems;
  }

  /** Delays harmonics as far as the centred noise filter comes late. */
  delay(harmonic) {
    if (!this.queue.length) return;
    const oldest = this.queue.shift();
    this.queue.push(Float32Array.from(harmonic));
    harmonic.set(oldest);
  }
}
