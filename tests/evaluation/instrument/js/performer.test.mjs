// Keys become curves: attack, legato, release, bend, vibrato.

import assert from "node:assert/strict";
import test from "node:test";

import { Performer, quantile } from "../../../../evaluation/instrument/js/performer.mjs";

const RATE = 250;
const make = () => {
  const performer = new Performer(RATE, [-60, -40, -20]);
  performer.vibratoCents = 0;
  return performer;
};
const frames = (performer, secs) => Array.from({ length: Math.round(secs * RATE) }, () => ({ ...performer.next() }));
const midi = ({ f0Hz }) => 69 + 12 * Math.log2(f0Hz / 440);

test("quantiles are interpolated and bounded", () => {
  assert.equal(quantile([0, 10, 30], 0.25), 5);
  assert.equal(quantile([0, 10, 30], 2), 30);
  assert.equal(quantile([0, 10, 30], -1), 0);
});

test("nothing held is silence", () => {
  const [frame] = frames(make(), 0.004);
  assert.equal(frame.loudnessDb, -80);
  assert.equal(frame.confidence, 0);
});

test("a note begins 20 dB below its loudness and reaches it in 60 ms", () => {
  const performer = make();
  performer.noteOn("a", 69, 1);
  const played = frames(performer, 0.2);
  const loud = quantile([-60, -40, -20], 0.95);
  assert.ok(Math.abs(midi(played[0]) - 69) < 1e-9);
  assert.ok(Math.abs(played[0].loudnessDb - (loud - 20)) < 1.5);
  assert.ok(Math.abs(played[15].loudnessDb - loud) < 0.5);
  assert.equal(played[15].confidence, 0.95);
});

test("louder by velocity", () => {
  const level = (share) => {
    const performer = make();
    performer.noteOn("a", 69, share);
    return frames(performer, 0.1).at(-1).loudnessDb;
  };
  assert.ok(level(1) > level(0.5) + 10);
  assert.ok(level(0.5) > level(0) + 10);
});

test("a second key glides, and letting go goes back", () => {
  const performer = make();
  performer.glideSecs = 0.06;
  performer.noteOn("a", 60, 0.5);
  frames(performer, 0.3);
  performer.noteOn("b", 72, 0.5);
  const up = frames(performer, 0.2).map(midi);
  assert.ok(up[0] > 60 && up[0] < 64);
  assert.ok(Math.abs(up.at(-1) - 72) < 0.05);
  for (let i = 1; i < up.length; i++) assert.ok(up[i] >= up[i - 1]);
  performer.noteOff("b");
  assert.ok(Math.abs(midi(frames(performer, 0.3).at(-1)) - 60) < 0.05);
});

test("a key that is let go rings out 60 dB in a quarter of a second, then is silent", () => {
  const performer = make();
  performer.noteOn("a", 69, 1);
  const held = frames(performer, 0.3).at(-1).loudnessDb;
  performer.noteOff("a");
  const released = frames(performer, 0.6);
  assert.ok(Math.abs(released[24].loudnessDb - (held - 24)) < 2);
  assert.equal(released.at(-1).loudnessDb, -80);
  assert.ok(!performer.active);
});

test("a key pressed while another rings out does not begin below it", () => {
  const performer = make();
  performer.noteOn("a", 69, 1);
  const held = frames(performer, 0.3).at(-1).loudnessDb;
  performer.noteOff("a");
  frames(performer, 0.02);
  performer.noteOn("a", 71, 1);
  assert.ok(frames(performer, 0.004)[0].loudnessDb > held - 8);
});

test("bend, breath and modulation", () => {
  const performer = make();
  performer.noteOn("a", 69, 0);
  frames(performer, 0.2);
  performer.bend = 2;
  assert.ok(Math.abs(midi(frames(performer, 0.004)[0]) - 71) < 1e-6);
  performer.noteMove("a", { bend: -1 });
  assert.ok(Math.abs(midi(frames(performer, 0.004)[0]) - 70) < 1e-6);
  performer.noteMove("a", { share: 1 });
  const before = frames(performer, 1.2).at(-1).loudnessDb;
  performer.breath = 0.5; // takes from the velocity, as in files
  const halved = frames(performer, 0.3).at(-1).loudnessDb;
  assert.ok(Math.abs(before - halved - 12.04) < 0.1, `${before - halved} dB`);
  performer.expression = 0.5;
  assert.ok(Math.abs(before - frames(performer, 0.3).at(-1).loudnessDb - 24.08) < 0.1);
  performer.expression = 0;
  assert.equal(frames(performer, 0.3).at(-1).loudnessDb, -80);
  performer.breath = performer.expression = 1;
  assert.ok(Math.abs(frames(performer, 0.3).at(-1).loudnessDb - before) < 0.1);
  performer.mod = 1;
  const moved = frames(performer, 1).map(midi);
  assert.ok(Math.abs(Math.max(...moved) - 70.5) < 0.02);
  assert.ok(Math.abs(Math.min(...moved) - 69.5) < 0.02);
});

test("under the pedal a note sounds until the pedal rises", () => {
  const performer = make();
  performer.noteOn("a", 60, 0.5);
  frames(performer, 0.3);
  performer.setPedal(true);
  performer.noteOff("a");
  assert.equal(frames(performer, 1).at(-1).confidence, 0.95);
  performer.setPedal(false);
  assert.equal(frames(performer, 0.004)[0].confidence, 0);
  frames(performer, 0.6);
  assert.ok(!performer.active);
});

test("under the pedal the next note takes the voice, and a held key takes it back", () => {
  const performer = make();
  performer.glideSecs = 0;
  const now = () => Math.round(midi(frames(performer, 0.02).at(-1)));
  performer.setPedal(true);
  performer.noteOn("a", 60, 0.5);
  performer.noteOn("b", 64, 0.5);
  performer.noteOff("b");
  assert.equal(now(), 64);
  performer.setPedal(false); // a is still under a finger
  assert.equal(now(), 60);
  performer.setPedal(true);
  performer.noteOff("a");
  performer.noteOn("c", 67, 0.5);
  performer.setPedal(false);
  performer.noteOff("c");
  assert.equal(frames(performer, 0.004)[0].confidence, 0);
});

test("under the pedal a note after one that was let go is struck, the same or another", () => {
  const performer = make();
  performer.glideSecs = performer.vibratoCents = 0;
  performer.setPedal(true);
  const play = (note) => {
    performer.noteOn("a", note, 1);
    performer.noteOff("a");
    return frames(performer, 1.06).map(({ loudnessDb }) => loudnessDb);
  };
  const first = play(60);
  for (const note of [62, 62]) {
    const next = play(note);
    for (const place of [0, 5, 20, -1]) assert.ok(Math.abs(next.at(place) - first.at(place)) < 0.1, `frame ${place}`);
  }
  performer.noteOn("b", 64, 1); // a finger stays
  performer.noteOn("c", 66, 1);
  performer.noteOff("c");
  frames(performer, 1);
  performer.noteOn("c", 66, 1);
  assert.ok(Math.abs(frames(performer, 0.004)[0].loudnessDb - first[0]) < 0.1);
});

test("an unknown note is let go without harm", () => {
  const performer = make();
  performer.noteOff("nobody");
  performer.noteMove("nobody", { bend: 1 });
  assert.ok(!performer.active);
});
