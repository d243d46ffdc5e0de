// Plays frames with the engine, for a test in Python:
//   node play_frames.mjs FOLDER N_FRAMES
// FOLDER holds program.json, tensors.bin, features.f32 [3, n] and noise.f32 [n, hop], and
// gets stems.f32 [3, n * hop] and controls.f32 [n, 2 + nHarmonics + nNoiseBands].

import fs from "node:fs";

import { Engine } from "../../../../evaluation/instrument/js/engine.mjs";

const [folder, count] = process.argv.slice(2);
const read = (name) => new Uint8Array(fs.readFileSync(`${folder}/${name}`)).buffer;
const nFrames = Number(count);
const engine = new Engine(JSON.parse(fs.readFileSync(`${folder}/program.json`, "utf8")), read("tensors.bin"));
const features = new Float32Array(read("features.f32"));
const noise = new Float32Array(read("noise.f32"));
const hop = engine.hopSize;
const stems = new Float32Array(3 * nFrames * hop);
const controls = [];
const dry = new Float32Array(hop);
for (let i = 0; i < nFrames; i++) {
  const [f0, loudness, confidence] = [0, 1, 2].map((row) => features[row * nFrames + i]);
  const { harmonic, noise: filtered } = engine.step(f0, loudness, confidence, noise.subarray(i * hop, (i + 1) * hop));
  stems.set(harmonic, i * hop);
  stems.set(filtered, (nFrames + i) * hop);
  for (let n = 0; n < hop; n++) dry[n] = harmonic[n] + filtered[n];
  if (engine.reverb) stems.set(engine.reverb.process(dry), (2 * nFrames + i) * hop);
  const { now } = engine;
  controls.push(now.f0[0], now.amps[0], ...now.harmonics, ...now.noise);
}
fs.writeFileSync(`${folder}/stems.f32`, stems);
fs.writeFileSync(`${folder}/controls.f32`, Float32Array.from(controls));
