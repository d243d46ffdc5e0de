// Pitch and loudness of known signals.

import assert from "node:assert/strict";
import test from "node:test";

import { Ear } from "../../../../evaluation/instrument/js/ear.mjs";
import { Loudness, LOUDNESS_WINDOW } from "../../../../evaluation/instrument/js/loudness.mjs";
import { Matching } from "../../../../evaluation/instrument/js/matching.mjs";
import { PITCH_WINDOW, PitchTracker } from "../../../../evaluation/instrument/js/pitch.mjs";
import { Resampler } from "../../../../evaluation/instrument/js/resampler.mjs";

/** A tone with harmonics that fall by a factor each. */
function tone(hz, { rate = 16000, count = 4000, fall = 0.6, level = 0.2 } = {}) {
  const highest = Math.min(20, Math.floor(rate / 2 / hz - 0.01));
  return Float32Array.from({ length: count }, (_, n) => {
    let sum = 0;
    for (let k = 1; k <= highest; k++) sum += fall ** (k - 1) * Math.sin((2 * Math.PI * k * hz * n) / rate + k);
    return level * sum;
  });
}

for (const hz of [55, 82.4, 146.8, 261.6, 440, 659.3, 1046.5, 1760, 2050]) {
  for (const fall of [0.1, 0.6, 0.95]) {
    test(`a tone of ${hz} Hz, harmonics falling by ${fall}`, () => {
      const tracker = new PitchTracker();
      const samples = tone(hz, { fall });
      for (const start of [0, 64, 1000]) {
        const { f0Hz, clarity } = tracker.measure(Float64Array.from(samples.subarray(start, start + PITCH_WINDOW)));
        assert.ok(Math.abs(1200 * Math.log2(f0Hz / hz)) < 5, `${f0Hz} Hz`);
        assert.ok(clarity > 0.9);
      }
    });
  }
}

test("a voice whose fundamental is weak keeps its octave", () => {
  const samples = tone(200, { fall: 0.9 }).map((x, n) => x - 0.17 * Math.sin((2 * Math.PI * 200 * n) / 16000 + 1));
  const { f0Hz } = new PitchTracker().measure(Float64Array.from(samples.subarray(0, PITCH_WINDOW)));
  assert.ok(Math.abs(1200 * Math.log2(f0Hz / 200)) < 5, `${f0Hz} Hz`);
});

test("noise and silence have no pitch", () => {
  let state = 3;
  const noise = Float32Array.from({ length: 16000 }, () => (state = (state * 16807) % 2147483647) / 1073741824 - 1);
  const heard = [];
  new Ear(16000, 250).push(noise, (frame) => heard.push(frame.confidence));
  assert.ok(heard.reduce((a, b) => a + b) / heard.length < 0.1);
  new Ear(16000, 250).push(new Float32Array(8000), (frame) => {
    assert.equal(frame.confidence, 0);
    assert.equal(frame.loudnessDb, -80);
  });
});

test("ears hear the same at any sample rate", () => {
  let expected = null; // dB, at the first rate, which needs no resampling
  for (const rate of [16000, 22050, 44100, 48000, 96000]) {
    const frames = [];
    const samples = tone(311.1, { rate, count: rate, fall: 0.3 });
    const ear = new Ear(rate, 250);
    for (let start = 0; start < rate; start += 128) ear.push(samples.subarray(start, start + 128), (frame) => frames.push(frame));
    assert.ok(frames.length >= 239 && frames.length <= 243, `${frames.length} frames at ${rate}`);
    const { f0Hz, loudnessDb, confidence } = frames[120];
    assert.ok(Math.abs(1200 * Math.log2(f0Hz / 311.1)) < 3);
    expected ??= loudnessDb;
    assert.ok(Math.abs(loudnessDb - expected) < 0.1, `${loudnessDb} dB at ${rate}`);
    assert.ok(confidence > 0.95);
  }
});

test("twice the amplitude is 6.02 dB more", () => {
  const loudness = new Loudness();
  const quiet = tone(1000, { count: LOUDNESS_WINDOW });
  const loud = quiet.map((x) => 2 * x);
  assert.ok(Math.abs(loudness.measure(loud) - loudness.measure(quiet) - 6.0206) < 1e-4);
});

test("a resampled sine is a sine", () => {
  const output = [];
  new Resampler(48000, 16000).push(tone(1000, { rate: 48000, count: 9600, fall: 0, level: 0.5 }), (x) => output.push(x));
  const middle = output.slice(200, 3000);
  const level = Math.sqrt((2 * middle.reduce((sum, x) => sum + x * x, 0)) / middle.length);
  assert.ok(Math.abs(20 * Math.log10(level / 0.5)) < 0.05);
});

test("what the resampler must not let through is gone", () => {
  const output = [];
  new Resampler(48000, 16000).push(tone(11000, { rate: 48000, count: 9600, fall: 0, level: 0.5 }), (x) => output.push(x));
  const middle = output.slice(200, 3000);
  const level = Math.sqrt((2 * middle.reduce((sum, x) => sum + x * x, 0)) / middle.length);
  assert.ok(20 * Math.log10(level / 0.5) < -60);
});

test("a quiet low voice is fitted to a loud high instrument", () => {
  const matching = new Matching(250, { loudness_db: [-40, -20, -10], pitch_midi: [70, 74, 80] });
  let frame;
  for (let i = 0; i < 2500; i++) {
    frame = { f0Hz: 110, loudnessDb: -45, confidence: 1 };
    matching.apply(frame);
  }
  assert.ok(Math.abs(frame.loudnessDb + 12) < 1.5, `${frame.loudnessDb} dB`);
  assert.ok(Math.abs(1200 * Math.log2(frame.f0Hz / 110) % 1200) < 1e-6);
  assert.ok(frame.f0Hz > 390 && frame.f0Hz < 900);
});

test("a melody of an octave and more keeps the octave of its first note", () => {
  const matching = new Matching(250, { loudness_db: [-40, -20, -10], pitch_midi: [66, 70, 74] });
  const octaves = new Set();
  for (const midi of [66, 59, 78, 62, 80, 58]) {
    for (let i = 0; i < 250; i++) {
      matching.apply({ f0Hz: 440 * 2 ** ((midi - 69) / 12), loudnessDb: -20, confidence: 1 });
      octaves.add(matching.octaves);
    }
  }
  assert.deepEqual([...octaves], [0]);
});
