// What surrounds the model: silence, guards, clicks, latency, settings, an hour.

import assert from "node:assert/strict";
import test from "node:test";

import { Instrument, limit } from "../../../../evaluation/instrument/js/instrument.mjs";
import { WhiteNoise } from "../../../../evaluation/instrument/js/synth.mjs";
import { makeToy, peak, render } from "./toy.mjs";

const make = (options) => {
  const { program, buffer } = makeToy(options);
  return new Instrument(program, buffer);
};
const steepest = (samples) => {
  let most = 0;
  for (let i = 1; i < samples.length; i++) most = Math.max(most, Math.abs(samples[i] - samples[i - 1]));
  return most;
};

test("nothing is heard before a key and after its end", () => {
  const instrument = make({ reverb: [0, 0.5, 0.25] });
  assert.equal(peak(render(instrument, 0.5)), 0);
  instrument.performer.noteOn("a", 69, 0.8);
  assert.ok(peak(render(instrument, 0.5)) > 0.05);
  instrument.performer.noteOff("a");
  render(instrument, 1);
  assert.equal(peak(render(instrument, 0.5)), 0);
});

test("a key is heard within 30 ms", () => {
  const instrument = make();
  instrument.performer.noteOn("a", 69, 0.8);
  const steady = peak(render(instrument, 1).subarray(8000));
  const again = make();
  render(again, 0.104);
  again.performer.noteOn("a", 69, 0.8);
  const onset = render(again, 0.5).findIndex((sample) => Math.abs(sample) > 0.1 * steady);
  const wait = 128; // samples that a key may have waited for the audio thread
  assert.ok((1000 * (onset + wait)) / 16000 < 30, `${onset} samples`);
});

test("neither start, end, leap nor retrigger clicks", () => {
  const instrument = make();
  const { performer } = instrument;
  performer.noteOn("a", 74, 1); // the highest that follows
  const steady = steepest(render(instrument, 1).subarray(8000));
  const parts = [];
  for (const midi of [57, 69, 64]) {
    performer.noteOff("a");
    parts.push(render(instrument, 0.05));
    performer.noteOn("a", midi, 1);
    parts.push(render(instrument, 0.3));
    performer.noteOn("b", midi + 5, 1);
    parts.push(render(instrument, 0.3));
    performer.noteOff("b");
    parts.push(render(instrument, 0.3));
  }
  performer.setPedal(true);
  for (const midi of [64, 64, 69]) { // struck while the one before rings
    performer.noteOn("a", midi, 1);
    performer.noteOff("a");
    parts.push(render(instrument, 0.3));
  }
  performer.allOff();
  parts.push(render(instrument, 1));
  const all = parts.flatMap((part) => [...part]);
  assert.ok(steepest(all) < 1.15 * steady, `${steepest(all)} beside ${steady}`);
});

test("blocks of any size join", () => {
  const [whole, cut] = [make(), make()];
  for (const instrument of [whole, cut]) instrument.performer.noteOn("a", 69, 0.8);
  const expected = new Float32Array(4000);
  whole.render(expected);
  const found = new Float32Array(4000);
  for (let start = 0, size = 1; start < 4000; start += size, size = (size * 7) % 131 + 1) {
    cut.render(found.subarray(start, Math.min(start + size, 4000)));
  }
  assert.deepEqual(found, expected);
});

test("a model that loses itself is reset, and plays on", () => {
  const instrument = make({ reverb: [0, 0.5] });
  instrument.performer.noteOn("a", 69, 0.8);
  render(instrument, 0.2);
  instrument.engine.harmonics.phase = NaN;
  const broken = render(instrument, 0.1);
  assert.ok(broken.every((sample) => Math.abs(sample) <= 1));
  assert.equal(instrument.faults, 1);
  assert.ok(peak(render(instrument, 0.2)) > 0.05);
  assert.equal(instrument.faults, 1);
});

test("input that is no number does no harm", () => {
  const instrument = make();
  instrument.listen(true, 16000);
  for (let i = 0; i < 200; i++) {
    instrument.hear(new Float32Array(128).fill(i % 3 ? NaN : Infinity));
    assert.ok(render(instrument, 0.008).every((sample) => Math.abs(sample) <= 1));
  }
});

test("the limiter leaves what is small and bounds what is large", () => {
  assert.equal(limit(0.5), 0.5);
  assert.equal(limit(-0.8), -0.8);
  assert.ok(limit(3) <= 1 && limit(3) > 0.95);
  assert.ok(limit(0.9) < 0.9);
});

test("gain, transposition and noise", () => {
  const level = (settings) => {
    const instrument = make();
    Object.assign(instrument.settings, settings);
    instrument.performer.noteOn("a", 69, 0.3);
    render(instrument, 0.5);
    const samples = render(instrument, 0.5);
    return { power: samples.reduce((sum, x) => sum + x * x, 0), instrument };
  };
  const plain = level({ noise: 0 });
  const ratio = level({ noise: 0, gain_db: -6 }).power / plain.power;
  assert.ok(Math.abs(10 * Math.log10(ratio) + 6) < 0.2);
  const { f0Hz } = level({ transpose: -12 }).instrument.frame;
  assert.ok(Math.abs(f0Hz - 220) < 3);
});

test("the highest keys sound at their pitch", () => {
  const instrument = make();
  instrument.performer.noteOn("a", 119, 0.8);
  render(instrument, 0.1);
  assert.ok(Math.abs(1200 * Math.log2(instrument.frame.f0Hz / 7902.13)) < 5);
});

test("a voice is heard within 60 ms, at its pitch", () => {
  const instrument = make();
  instrument.listen(true, 16000);
  const tone = (n) => 0.3 * Math.sin((2 * Math.PI * 330 * n) / 16000);
  const output = [];
  const begin = 16000;
  for (let start = 0; start < 40000; start += 128) {
    const heard = Float32Array.from({ length: 128 }, (_, i) => (start + i < begin ? 0 : tone(start + i)));
    instrument.hear(heard);
    const block = new Float32Array(128);
    instrument.render(block);
    output.push(...block);
  }
  assert.equal(peak(output.slice(0, begin)), 0);
  const steady = peak(output.slice(32000));
  const onset = output.findIndex((sample) => Math.abs(sample) > 0.1 * steady) - begin;
  assert.ok((1000 * (onset + 128)) / 16000 < 60, `${onset} samples`);
  const cents = 1200 * Math.log2(instrument.frame.f0Hz / 330);
  assert.ok(Math.abs(cents - 1200 * Math.round(cents / 1200)) < 5, `${cents} cents`);
});

/** Listens to so many samples of a tone in the audio thread's blocks; returns what is played. */
function follow(instrument, count, level = 0.3) {
  const output = [];
  const tone = (n) => level * Math.sin((2 * Math.PI * 330 * n) / 16000);
  for (let start = 0; start < count; start += 128) {
    instrument.hear(Float32Array.from({ length: 128 }, (_, i) => tone(start + i)));
    output.push(...render(instrument, 0.008));
  }
  return output;
}

test("a microphone that delivers no more is silence, not a drone", () => {
  const instrument = make();
  instrument.listen(true, 16000);
  assert.ok(peak(follow(instrument, 16000)) > 0.05);
  assert.ok(peak(render(instrument, 0.04)) > 0.05); // it may only be late
  render(instrument, 0.4);
  assert.equal(peak(render(instrument, 0.5)), 0);
});

test("a room's noise is not lifted to where it plays", () => {
  const instrument = make();
  instrument.listen(true, 16000);
  follow(instrument, 32000, 0.001); // a quiet voice, which is lifted
  assert.ok(instrument.matching.shiftDb > 15, `${instrument.matching.shiftDb} dB`);
  const noise = new Float32Array(128);
  const source = new WhiteNoise(1);
  const output = [];
  for (let i = 0; i < 250; i++) { // 2 s
    source.fill(noise);
    instrument.hear(noise.map((x) => 3e-5 * x));
    output.push(...render(instrument, 0.008));
  }
  assert.equal(peak(output.slice(16000)), 0);
});

for (const rate of [50, 250, 500, 1000]) {
  test(`at ${rate} frames a second no frame of a voice is thrown away`, () => {
    const { program, buffer } = makeToy();
    const hop = 16000 / rate;
    const instrument = new Instrument({ ...program, frame_rate: rate, synth: { ...program.synth, hop_size: hop } }, buffer);
    instrument.listen(true, 16000);
    let nPlayed = 0;
    instrument.matching.apply = () => nPlayed++;
    const samples = 16000 - (16000 % 256);
    for (let start = 0; start < samples; start += 256) { // two of the audio thread's blocks at once
      for (let i = 0; i < 2; i++) instrument.hear(new Float32Array(128).fill(0.1));
      render(instrument, 0.016);
    }
    assert.ok(nPlayed >= rate * (1 - 0.016 - 0.032) - 2, `${nPlayed} frames`);
  });
}

test("an hour is played without growth, and ends in tune", () => {
  const { program, buffer } = makeToy();
  const instrument = new Instrument(program, buffer);
  const { performer } = instrument;
  const block = new Float32Array(64000);
  const used = () => (globalThis.gc?.(), process.memoryUsage().heapUsed);
  let before = 0;
  for (let i = 0; i < 900; i++) { // 4 s each
    if (i % 2) performer.noteOff("a");
    else performer.noteOn("a", 60 + (i % 13), 0.5);
    instrument.render(block);
    if (i === 100) before = used();
  }
  assert.ok(used() - before < 2e6, `${used() - before} bytes`);
  assert.equal(instrument.faults, 0);
  assert.ok(instrument.performer.held.length <= 1);
  assert.ok(Math.abs(instrument.engine.harmonics.phase) <= 1);
});
