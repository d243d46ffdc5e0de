// The page's side of the audio, on devices that are made up.

import assert from "node:assert/strict";
import test from "node:test";

import { Host, Refusal } from "../../../../evaluation/instrument/js/host.mjs";

const program = { synth: { sample_rate: 16000 } };

/** What a test may turn in the made-up browser. */
function makeBrowser() {
  const browser = { contexts: [], addModule: async () => {}, allowed: true, refusedRates: [], tracks: [] };
  const mediaDevices = {
    getUserMedia: async () => {
      const track = { isLive: true, stop: () => { track.isLive = false; } };
      browser.tracks.push(track);
      return { getTracks: () => [track], getAudioTracks: () => [track] };
    },
  };
  Object.defineProperty(globalThis, "navigator", { value: { mediaDevices }, configurable: true });
  const makeNode = () => ({ connect: (node) => node, disconnect() {} });
  globalThis.AudioContext = class {
    constructor({ sampleRate = 48000 } = {}) {
      Object.assign(this, { sampleRate, state: "suspended", resumed: 0, destination: {} });
      if (browser.addModule) this.audioWorklet = { addModule: (url) => browser.addModule(url) };
      this.waiting = [];
      browser.contexts.push(this);
    }
    resume() {
      this.resumed++;
      if (browser.allowed) {
        this.state = "running";
        for (const resolve of this.waiting.splice(0)) resolve();
        return Promise.resolve();
      }
      return new Promise((resolve) => { this.waiting.push(resolve); });
    }
    createMediaStreamSource() {
      if (browser.refusedRates.includes(this.sampleRate)) throw new DOMException("another rate", "NotSupportedError");
      return makeNode();
    }
    close() { this.state = "closed"; }
  };
  globalThis.AudioWorkletNode = class {
    constructor(context, name) {
      Object.assign(this, { context, name, sent: [] });
      this.port = { postMessage: (message) => this.sent.push(message) };
    }
    connect(node) { return node; }
  };
  return browser;
}

const makeHost = () => new Host({ program, buffer: null, worklet: "" }, () => {});

test("the sound is asked for within the touch, before anything is awaited", async () => {
  const browser = makeBrowser();
  const started = makeHost().start();
  assert.equal(browser.contexts[0].resumed, 1);
  await started;
});

test("a finger that is lifted starts what it was not allowed to when it was set down", async () => {
  const browser = makeBrowser();
  const host = makeHost();
  await host.wake(); // nobody asked for sound
  assert.equal(browser.contexts.length, 0);
  browser.allowed = false;
  const started = host.start();
  browser.allowed = true;
  await host.wake();
  await started;
  assert.equal(browser.contexts.length, 1);
  assert.equal(host.context.state, "running");
  await host.wake();
  assert.equal(host.context.resumed, 2);
});

test("a microphone of another rate is heard in a context of its own", async () => {
  const browser = makeBrowser();
  browser.refusedRates = [16000];
  const host = makeHost();
  await host.hearMicrophone();
  const own = browser.contexts[1];
  const { listen, rate, port } = host.node.sent.at(-1);
  assert.deepEqual([listen, rate, own.state], [true, 48000, "running"]);
  assert.ok(port instanceof MessagePort);
  host.deafen();
  assert.deepEqual([own.state, browser.tracks[0].isLive], ["closed", false]);
  assert.deepEqual(host.node.sent.at(-1), { listen: false });
  port.close();
});

test("a microphone that cannot be heard is not left open", async () => {
  const browser = makeBrowser();
  browser.refusedRates = [16000, 48000];
  await assert.rejects(makeHost().hearMicrophone(), { name: "NotSupportedError" });
  assert.equal(browser.tracks[0].isLive, false);
  assert.equal(browser.contexts[1].state, "closed");
});

test("a microphone that is unplugged is let go, once, and only while it is heard", async () => {
  const browser = makeBrowser();
  const host = makeHost();
  let nEnds = 0;
  await host.hearMicrophone(() => nEnds++);
  await host.hearMicrophone(() => nEnds++);
  browser.tracks[0].onended(); // the former one
  assert.deepEqual([nEnds, host.node.sent.at(-1)], [0, { listen: true }]);
  browser.tracks[1].onended();
  assert.deepEqual([nEnds, host.node.sent.at(-1)], [1, { listen: false }]);
});

test("a start that failed is tried again", async () => {
  const browser = makeBrowser();
  const host = makeHost();
  host.send({ set: { gain_db: 1 } });
  browser.addModule = async () => { throw new Error("once"); };
  await assert.rejects(host.start(), /once/);
  assert.equal(browser.contexts[0].state, "closed");
  browser.addModule = async () => {};
  await host.start();
  assert.deepEqual([host.context.state, host.node.sent], ["running", [{ set: { gain_db: 1 } }]]);
});

test("plain http is told what to do instead", async () => {
  const browser = makeBrowser();
  const host = makeHost();
  globalThis.isSecureContext = false;
  browser.addModule = null;
  await assert.rejects(host.start(), (error) => error instanceof Refusal && /localhost or by https/.test(error.message));
  globalThis.isSecureContext = true;
  await assert.rejects(host.start(), /too old/);
  delete globalThis.isSecureContext;
});

test("an error of the audio thread is told, and keeps what was recorded", async () => {
  const browser = makeBrowser();
  const told = [];
  const host = new Host({ program, buffer: null, worklet: "" }, () => {}, (text) => told.push(text));
  await host.hearMicrophone();
  await host.record();
  host.take({ recorded: new Float32Array(10) });
  await host.node.onprocessorerror();
  assert.equal((await host.recorded).size, 44 + 20);
  assert.match(told.join(), /reload the page/);
  assert.equal(browser.tracks[0].isLive, false);
});

test("a recording that is full ends by itself", async () => {
  makeBrowser();
  const host = makeHost();
  await host.record();
  host.take({ recorded: new Float32Array(1200 * 16000) });
  assert.equal(host.node.sent.length, 1);
  host.take({ recorded: new Float32Array(1) });
  assert.deepEqual(host.node.sent.at(-1), { record: false });
  host.take({ recorded: new Float32Array(0), last: true });
  assert.equal((await host.recorded).size, 44 + 2 * (1200 * 16000 + 1));
});
