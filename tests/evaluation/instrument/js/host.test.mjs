// The page's side of the audio, on devices that are made up.

import assert from "node:assert/strict";
import test from "node:test";

import { Host } from "../../../../evaluation/instrument/js/host.mjs";

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
      this.audioWorklet = { addModule: (url) => browser.addModule(url) };
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
