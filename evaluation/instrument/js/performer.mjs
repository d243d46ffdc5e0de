// Keys, MIDI and the pad -> pitch, loudness and confidence, a frame at a time.
//
// One voice: the newest held note sounds, and when it is let go the one before it goes on.
// Under the pedal a note that is let go sounds until the next one begins or the pedal rises.
// Loudness spans what the model heard in training, as velocities of MIDI files do
// (evaluation's midi module, whose phrasing this is).

const A4_HZ = 440, A4_MIDI = 69;
const SILENT_DB = -80;
const CONFIDENCE = 0.95; // inside notes
const QUIET = 0.1, LOUD = 0.95; // quantiles of training's loudness for shares 0 and 1
const ATTACK_SECS = 0.06, ATTACK_DB = 20; // a note begins so far below its loudness
const DECAY_DB = 3; // lost in the first second after the attack
const RELEASE_DB_PER_SEC = 240;
const LEVEL_SECS = 0.03; // in which loudness follows a moved finger
const VIBRATO_HZ = 5.5, VIBRATO_DELAY_SECS = 0.25;
const MOD_SEMITONES = 0.5; // of vibrato at full modulation, as of a MIDI file

/** MIDI note number -> Hz. */
export function midiToHz(midi) {
  return A4_HZ * 2 ** ((midi - A4_MIDI) / 12);
}

/** Breath or expression, 0 to 1 -> dB, 0 at 1 (General MIDI 2). */
export function controllerDb(value) {
  return 40 * Math.log10(Math.max(value, 1e-6));
}

/** A number from quantiles at equal steps. */
export function quantile(quantiles, share) {
  const place = Math.min(Math.max(share, 0), 1) * (quantiles.length - 1);
  const below = Math.min(Math.floor(place), quantiles.length - 2);
  return quantiles[below] + (place - below) * (quantiles[below + 1] - quantiles[below]);
}

/** Plays one voice. */
export class Performer {
  /**
   * @param {number} frameRate Frames a second.
   * @param {number[]} loudnessDb Quantiles of the training data's loudness.
   */
  constructor(frameRate, loudnessDb) {
    this.frameSecs = 1 / frameRate;
    this.loudnessDb = loudnessDb;
    this.held = []; // notes: { id, midi, share, bend, pedalled }, newest last
    this.pedal = false;
    this.bend = 0; // semitones, of the wheel
    this.mod = 0; // 0 to 1, vibrato at once
    this.breath = this.expression = 1; // 0 to 1, what they leave of the loudness
    this.glideSecs = 0.03;
    this.vibratoCents = 20;
    this.sounding = null; // the note that sounds, or rings out
    this.envelopeDb = -Infinity; // below the note's loudness
    this.since = 0; // s since its attack
    this.midi = A4_MIDI; // where the glide is
    this.levelDb = SILENT_DB;
    this.phase = 0; // of the vibrato, cycles
    this.frame = { f0Hz: A4_HZ, loudnessDb: SILENT_DB, confidence: 0 };
  }

  /** Whether anything sounds or rings out. */
  get active() {
    return this.held.length > 0 || this.levelDb + this.envelopeDb > SILENT_DB;
  }

  /**
   * Starts a note.
   * @param {string} id Whose it is; a note of the same id is replaced.
   * @param {number} midi Note number, fractions allowed.
   * @param {number} share 0 quiet to 1 loud.
   */
  noteOn(id, midi, share) {
    const before = this.held[this.held.length - 1];
    this.held = this.held.filter((note) => note.id !== id && !note.pedalled);
    this.held.push({ id, midi, share, bend: 0, pedalled: false });
    this.turnTo(this.held[this.held.length - 1], Boolean(before) && !before.pedalled);
    if (before?.pedalled) this.envelopeDb = -ATTACK_DB; // nobody holds what sounds: struck, as in files
  }

  /** Bends a note that is held, in semitones, or changes how loud it is. */
  noteMove(id, { bend, share, midi }) {
    const note = this.held.find((one) => one.id === id);
    if (!note) return;
    note.bend = bend ?? note.bend;
    note.share = share ?? note.share;
    note.midi = midi ?? note.midi;
  }

  /** Ends a note. */
  noteOff(id) {
    const newest = this.held[this.held.length - 1];
    if (this.pedal && newest?.id === id) newest.pedalled = true;
    else this.drop((note) => note.id === id);
  }

  /** Presses the sustain pedal, or lets it rise. */
  setPedal(isDown) {
    this.pedal = isDown;
    if (!isDown) this.drop((note) => note.pedalled);
  }

  /** Ends notes; the newest of those that stay goes on. */
  drop(isOver) {
    const newest = this.held[this.held.length - 1];
    this.held = this.held.filter((note) => !isOver(note));
    const next = this.held[this.held.length - 1];
    if (next && next !== newest) this.turnTo(next, true);
  }

  /** Ends all notes. */
  allOff() {
    this.held = [];
  }

  turnTo(note, legato) {
    this.sounding = note;
    if (legato) return;
    const silent = !(this.envelopeDb > -ATTACK_DB);
    if (silent) {
      this.envelopeDb = -ATTACK_DB;
      this.levelDb = this.targetDb();
      this.midi = note.midi;
    }
    this.since = 0;
  }

  targetDb() {
    const db = quantile(this.loudnessDb, QUIET + (LOUD - QUIET) * this.sounding.share);
    return Math.max(db + controllerDb(this.breath) + controllerDb(this.expression), SILENT_DB);
  }

  /** The next frame; overwritten by the next call. */
  next() {
    const { frame, frameSecs } = this;
    if (!this.active || !this.sounding) {
      this.envelopeDb = -Infinity;
      frame.loudnessDb = SILENT_DB;
      frame.confidence = 0;
      return frame;
    }
    const isHeld = this.held.length > 0;
    this.moveEnvelope(isHeld);
    const step = frameSecs / Math.max(LEVEL_SECS, frameSecs);
    this.levelDb += step * (this.targetDb() - this.levelDb);
    frame.f0Hz = midiToHz(this.moveMidi());
    frame.loudnessDb = Math.max(this.levelDb + this.envelopeDb, SILENT_DB);
    frame.confidence = isHeld ? CONFIDENCE : 0;
    this.since += frameSecs;
    return frame;
  }

  /** Attack, decay and release in dB. */
  moveEnvelope(isHeld) {
    const { frameSecs } = this;
    if (!isHeld) this.envelopeDb -= RELEASE_DB_PER_SEC * frameSecs;
    else if (this.since < ATTACK_SECS) {
      this.envelopeDb = Math.min(0, this.envelopeDb + (ATTACK_DB / ATTACK_SECS) * frameSecs);
    } else this.envelopeDb = -DECAY_DB * Math.min(this.since - ATTACK_SECS, 1);
  }

  /** Glide, bend and vibrato; the note number that sounds. */
  moveMidi() {
    const { frameSecs, sounding } = this;
    const target = sounding.midi;
    if (this.glideSecs <= frameSecs) this.midi = target;
    else this.midi += (target - this.midi) * (1 - Math.exp((-3 * frameSecs) / this.glideSecs));
    const grown = Math.min(Math.max(this.since / VIBRATO_DELAY_SECS - 1, 0), 1);
    const depth = (this.vibratoCents / 100) * grown + MOD_SEMITONES * this.mod;
    this.phase = (this.phase + VIBRATO_HZ * frameSecs) % 1;
    return this.midi + sounding.bend + this.bend + depth * Math.sin(2 * Math.PI * this.phase);
  }
}
