// The audio thread: plays the instrument and reports what it does.
//
// Messages in: { note: "on" | "off" | "move" | "allOff", id, ... }, { set: {...} },
// { play: {...} } for the performer's settings, { listen }, { record }. With a port and its
// rate, { listen } takes samples from there, not from the node's input.
// Messages out: { status } about 30 times a second, { recorded } with samples.

import { Instrument } from "./instrument.mjs";

const REPORT_SECS = 0.033;
const RECORD_SAMPLES = 4096; // sent at once
const BURST_SECS = 0.04; // of samples that another context may send at once

class InstrumentProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { program, buffer, messages } }) {
    super();
    this.instrument = new Instrument(program, buffer);
    this.peak = 0;
    this.sinceReport = 0;
    this.busyMs = 0;
    this.load = 0;
    this.loadSamples = 0;
    this.recording = null;
    this.elsewhere = null; // port of a microphone in another context
    this.port.onmessage = ({ data }) => this.take(data);
    for (const message of messages ?? []) this.take(message);
  }

  take({ note, id, pedal, set, play, listen, port, rate, record, ...rest }) {
    const { performer } = this.instrument;
    if (note === "on") performer.noteOn(id, rest.midi, rest.share);
    if (note === "off") performer.noteOff(id);
    if (note === "move") performer.noteMove(id, rest);
    if (note === "allOff") performer.allOff();
    if (pedal !== undefined) performer.setPedal(pedal);
    if (set) Object.assign(this.instrument.settings, set);
    if (play) Object.assign(performer, play);
    if (listen !== undefined) this.listen(listen, port, rate);
    if (record === true) this.recording = { samples: new Float32Array(RECORD_SAMPLES), count: 0 };
    if (record === false) this.endRecording();
  }

  listen(isListening, port = null, rate = sampleRate) {
    this.elsewhere?.close();
    this.elsewhere = port;
    if (port) port.onmessage = ({ data }) => this.instrument.hear(data);
    this.instrument.listen(isListening, rate, port ? BURST_SECS : undefined);
  }

  process(inputs, outputs) {
    const begin = Date.now();
    const output = outputs[0][0];
    const heard = inputs[0]?.[0];
    if (heard && !this.elsewhere) this.instrument.hear(heard);
    this.instrument.render(output);
    for (let channel = 1; channel < outputs[0].length; channel++) outputs[0][channel].set(output);
    for (const sample of output) this.peak = Math.max(this.peak, Math.abs(sample));
    if (this.recording) this.keep(output);
    this.busyMs += Date.now() - begin;
    this.report(output.length);
    return true;
  }

  keep(output) {
    const { recording } = this;
    for (const sample of output) {
      recording.samples[recording.count++] = sample;
      if (recording.count === RECORD_SAMPLES) {
        this.port.postMessage({ recorded: recording.samples.slice() });
        recording.count = 0;
      }
    }
  }

  endRecording() {
    if (!this.recording) return;
    this.port.postMessage({ recorded: this.recording.samples.slice(0, this.recording.count), last: true });
    this.recording = null;
  }

  /** Tells the page what is played, now and then. */
  report(nSamples) {
    this.sinceReport += nSamples;
    this.loadSamples += nSamples;
    if (this.loadSamples >= sampleRate) {
      this.load = this.busyMs / ((1000 * this.loadSamples) / sampleRate);
      this.busyMs = this.loadSamples = 0;
    }
    if (this.sinceReport < REPORT_SECS * sampleRate) return;
    const { engine, frame, gate, faults } = this.instrument;
    const now = engine.now;
    const loud = now && gate > 0;
    this.port.postMessage({
      status: {
        peak: this.peak, f0Hz: frame.f0Hz, loudnessDb: frame.loudnessDb, confidence: frame.confidence,
        gate, faults, load: this.load,
        harmonics: loud ? now.harmonics.map((share) => share * now.amps[0] * gate) : null,
        noise: loud ? now.noise.map((magnitude) => magnitude * gate) : null,
      },
    });
    this.sinceReport = 0;
    this.peak = 0;
  }
}

/** Hands what its context hears to the port that it is sent. */
class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.port.onmessage = ({ data }) => { this.instrument = data; };
  }

  process(inputs) {
    const heard = inputs[0]?.[0];
    if (heard) this.instrument?.postMessage(heard.slice());
    return true;
  }
}

registerProcessor("ddsp-instrument", InstrumentProcessor);
registerProcessor("ddsp-microphone", MicrophoneProcessor);
