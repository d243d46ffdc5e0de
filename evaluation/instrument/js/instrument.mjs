// All that sounds: who plays, the model, the reverb, the level, and guards.
//
// Runs inside the audio thread; `render` fills any number of samples, and everything else
// is set from messages (worklet.mjs) or by a test.

import { Ear, MIN_PITCHED_DB } from "./ear.mjs";
import { Engine } from "./engine.mjs";
import { Matching } from "./matching.mjs";
import { Performer } from "./performer.mjs";

const SILENT_DB = -80;
const CLOSE_SECS = 0.08; // in which the gate closes; it opens in a frame
const REST_SECS = 0.25; // of a closed gate after which the model is not run
const MAX_SAMPLE = 64; // beyond it a model has lost itself
const KNEE = 0.8; // of full scale, above which peaks are bent
const WAITING_SECS = 0.016; // of the ear's frames that may wait: two blocks at 16 kHz
const HOLD_SECS = 0.05; // that a frame stands for an ear that is late; then it is silence
const MIN_HZ = 20, MAX_HZ = 8192; // as in files

/** Bends what would exceed full scale. */
export function limit(x) {
  const size = Math.abs(x);
  if (size <= KNEE) return x;
  return Math.sign(x) * (KNEE + (1 - KNEE) * Math.tanh((size - KNEE) / (1 - KNEE)));
}

/** The instrument of a page. */
export class Instrument {
  /**
   * @param {object} program What Python describes, with `profile`: quantiles
   *   `loudness_db` and `pitch_midi` of the training data and `floor_db`, its quietest.
   * @param {ArrayBuffer} buffer Its tensors.
   * @param {object} [options] As `Engine`'s.
   */
  constructor(program, buffer, options = {}) {
    this.engine = new Engine(program, buffer, options);
    this.frameRate = program.frame_rate;
    this.floorDb = program.profile.floor_db;
    this.performer = new Performer(this.frameRate, program.profile.loudness_db);
    this.matching = new Matching(this.frameRate, program.profile);
    this.ear = null;
    this.isListening = false;
    this.waiting = []; // frames of the ear
    this.nHeld = 0; // frames since the ear's last
    this.settings = { gain_db: 0, transpose: 0, reverb: 1, noise: 1, match: true };
    const { hopSize } = this.engine;
    this.block = new Float32Array(hopSize);
    this.place = hopSize; // in the block; at its end the next one is made
    this.gate = 0;
    this.rested = Infinity; // frames since the gate closed
    this.wet = 1;
    this.gain = 1;
    this.faults = 0;
    const reverb = this.engine.program.tensors.find(({ name }) => name === "reverb");
    this.tailFrames = Math.ceil((reverb?.shape[0] ?? 0) / hopSize) + 1;
    this.frame = { f0Hz: 440, loudnessDb: SILENT_DB, confidence: 0 };
  }

  /**
   * Starts or ends listening to `hear`.
   * @param {boolean} isListening Whether to.
   * @param {number} sampleRate Of what will be heard, Hz.
   * @param {number} [waitingSecs] Of frames that may wait: as much as comes at once.
   */
  listen(isListening, sampleRate, waitingSecs = WAITING_SECS) {
    this.isListening = isListening;
    this.waiting = [];
    this.maxWaiting = Math.max(Math.ceil(waitingSecs * this.frameRate), 2);
    if (isListening) {
      this.ear = new Ear(sampleRate, this.frameRate);
      this.matching.reset();
    }
  }

  /** Takes samples of the microphone. */
  hear(samples) {
    if (!this.isListening) return;
    this.ear.push(samples, (frame) => this.waiting.push(frame));
    if (this.waiting.length > this.maxWaiting) this.waiting.splice(0, this.waiting.length - this.maxWaiting);
  }

  /** Fills samples. */
  render(output) {
    const { hopSize } = this.engine;
    for (let n = 0; n < output.length; n++) {
      if (this.place === hopSize) {
        this.makeBlock();
        this.place = 0;
      }
      output[n] = this.block[this.place++];
    }
  }

  /** Pitch, loudness and confidence of the next frame, from whoever plays. */
  nextFrame() {
    const { frame, settings } = this;
    if (this.performer.active || !this.isListening) Object.assign(frame, this.performer.next());
    else if (this.waiting.length) {
      this.nHeld = 0;
      Object.assign(frame, this.waiting.shift());
      // A room's noise is silence, or matching would lift it until it plays.
      if (frame.confidence === 0 && frame.loudnessDb <= MIN_PITCHED_DB) frame.loudnessDb = SILENT_DB;
      if (settings.match) this.matching.apply(frame);
    } else {
      if (++this.nHeld > HOLD_SECS * this.frameRate) Object.assign(frame, { loudnessDb: SILENT_DB, confidence: 0 });
      return frame;
    }
    frame.f0Hz = Math.min(Math.max(frame.f0Hz * 2 ** (settings.transpose / 12), MIN_HZ), MAX_HZ);
    return frame;
  }

  makeBlock() {
    const { engine, block } = this;
    const frame = this.nextFrame();
    const before = this.gate;
    if (frame.loudnessDb > this.floorDb) {
      this.gate = 1;
      this.rested = 0;
    } else {
      this.gate = Math.max(0, this.gate - 1 / (CLOSE_SECS * this.frameRate));
      this.rested++;
    }
    const restFrames = REST_SECS * this.frameRate;
    if (this.rested > restFrames + this.tailFrames) {
      block.fill(0); // nothing plays and nothing rings
      return;
    }
    if (this.rested > restFrames) block.fill(0);
    else this.play(frame, before);
    if (this.rested === Math.ceil(restFrames)) engine.reset();
    if (!this.finish() || !this.isSane()) {
      this.faults++;
      engine.reset();
      engine.reverb?.reset();
      block.fill(0);
    }
  }

  /** The model's frame through the gate. */
  play(frame, gateBefore) {
    const { engine, block, settings } = this;
    const { harmonic, noise } = engine.step(frame.f0Hz, frame.loudnessDb, frame.confidence);
    const slope = (this.gate - gateBefore) / block.length;
    for (let i = 0; i < block.length; i++) {
      block[i] = (harmonic[i] + settings.noise * noise[i]) * (gateBefore + slope * (i + 1));
    }
  }

  /** Reverb, gain and limiter; returns whether all samples were numbers. */
  finish() {
    const { block, settings } = this;
    const reverb = this.engine.reverb?.process(block);
    const step = 1 / block.length;
    let isSound = true;
    const [wet, gain] = [settings.reverb, 10 ** (settings.gain_db / 20)];
    for (let i = 0; i < block.length; i++) {
      const along = step * (i + 1);
      const mixed = block[i] + (reverb ? (this.wet + along * (wet - this.wet)) * reverb[i] : 0);
      isSound &&= Math.abs(mixed) <= MAX_SAMPLE;
      block[i] = limit((this.gain + along * (gain - this.gain)) * mixed);
    }
    this.wet = wet;
    this.gain = gain;
    return isSound;
  }

  /** Whether the model remembers numbers alone. */
  isSane() {
    for (const state of this.engine.decoder.states) {
      for (const value of state) if (!(Math.abs(value) < Infinity)) return false;
    }
    return true;
  }
}
