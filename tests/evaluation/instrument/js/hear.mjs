// Listens to samples as the page does, for a test in Python:
//   node hear.mjs SAMPLES.f32 RATE FRAMES.f32
// FRAMES.f32 gets f0_hz, loudness_db and confidence of every frame, [n, 3].

import fs from "node:fs";

import { Ear } from "../../../../evaluation/instrument/js/ear.mjs";

const [from, rate, to] = process.argv.slice(2);
const samples = new Float32Array(new Uint8Array(fs.readFileSync(from)).buffer);
const ear = new Ear(Number(rate), 250);
const frames = [];
for (let start = 0; start < samples.length; start += 128) {
  ear.push(samples.subarray(start, start + 128), ({ f0Hz, loudnessDb, confidence }) => frames.push(f0Hz, loudnessDb, confidence));
}
fs.writeFileSync(to, Float32Array.from(frames));
