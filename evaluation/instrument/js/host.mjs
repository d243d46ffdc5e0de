// The page's side of the audio: context, worklet, microphone, files, recording.

import { toWav } from "./wav.mjs";

export const MAX_RECORD_SECS = 1200; // of memory, 77 MB at 16 kHz
const CLEAN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** What a user is told as it stands: a sentence that says what to do. */
export class Refusal extends Error {}

function checkBrowser(isThere) {
  if (isThere) return;
  if (globalThis.isSecureContext === false) {
    throw new Refusal("The browser allows no sound to a page by plain http; open it from the disk, from localhost or by https.");
  }
  throw new Refusal("This browser is too old for this page; update it, or open the page in another one.");
}

/** Decodes base64 into bytes. */
export function fromBase64(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

/** Audio of the page; nothing sounds before `start`. */
export class Host {
  /**
   * @param {object} parts `program`, `buffer` of its tensors, `worklet`: source text.
   * @param {function(object): void} onStatus Called with every report of the audio thread.
   * @param {function(string): void} [onFailure] Told, in a sentence, when that is no more.
   */
  constructor({ program, buffer, worklet }, onStatus, onFailure = () => {}) {
    this.program = program;
    this.buffer = buffer;
    this.worklet = worklet;
    this.onStatus = onStatus;
    this.onFailure = onFailure;
    this.messages = []; // said before the start
    this.context = null;
    this.input = null; // what the worklet hears: { node, stop }
    this.blocks = null; // of a recording
  }

  /** Makes the audio; must come from a key or a touch. Later calls only resume. */
  async start() {
    const { sample_rate: sampleRate } = this.program.synth;
    this.context ??= new AudioContext({ sampleRate, latencyHint: "interactive" });
    const resumed = this.context.resume(); // before anything is awaited, or WebKit refuses
    this.starting ??= this.open().catch((error) => {
      this.context.close();
      this.context = this.starting = null; // the next key tries again
      throw error;
    });
    await Promise.all([this.starting, resumed]);
  }

  /** Resumes what was started too early, or was interrupted; for the end of any touch. */
  async wake() {
    if (this.context && this.context.state !== "running") await this.start();
  }

  async open() {
    this.node = await this.addNode(this.context);
    this.node.connect(this.context.destination);
    this.node.port.onmessage = ({ data }) => this.take(data);
    this.node.onprocessorerror = () => this.fail();
    for (const message of this.messages) this.node.port.postMessage(message);
    this.messages = null;
  }

  /** The instrument as a node of a context, which may be an offline one. */
  async addNode(context, messages = []) {
    await this.addModule(context);
    return new AudioWorkletNode(context, "ddsp-instrument", {
      numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1],
      channelCount: 1, channelCountMode: "explicit",
      processorOptions: { program: this.program, buffer: this.buffer, messages },
    });
  }

  /** Brings the worklet's text into a context. */
  async addModule(context) {
    checkBrowser(context.audioWorklet);
    // A page from a disk may load nothing from there, and Chromium counts its blobs as
    // such ("Not allowed to load local resource: blob:null/..."), but not its data URLs.
    await context.audioWorklet.addModule(`data:text/javascript;charset=utf-8,${encodeURIComponent(this.worklet)}`);
  }

  /** Tells the audio thread. */
  send(message) {
    if (this.messages) this.messages.push(message);
    else this.node.port.postMessage(message);
  }

  take({ status, recorded, last }) {
    if (status) this.onStatus(status);
    if (recorded && this.blocks) {
      this.blocks.push(recorded);
      const nSamples = this.blocks.reduce((sum, block) => sum + block.length, 0);
      if (last) this.finishRecording();
      else if (nSamples > MAX_RECORD_SECS * this.context.sampleRate) this.send({ record: false });
    }
  }

  /**
   * Listens to the microphone; the browser asks first.
   * @param {function(): void} onEnd Called when it is unplugged or taken away.
   */
  async hearMicrophone(onEnd) {
    await this.start();
    checkBrowser(navigator.mediaDevices);
    const stream = await navigator.mediaDevices.getUserMedia({ audio: CLEAN });
    const stop = () => stream.getTracks().forEach((track) => track.stop());
    try {
      await this.hearStream(stream, stop);
    } catch (error) {
      stop();
      throw error;
    }
    const { input } = this;
    stream.getAudioTracks()[0].onended = () => {
      if (this.input !== input) return;
      this.deafen();
      onEnd();
    };
  }

  async hearStream(stream, stop) {
    let node;
    try {
      node = this.context.createMediaStreamSource(stream);
      node.connect(this.node);
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
      await this.hearElsewhere(stream, stop); // Firefox: the microphone has another rate
      return;
    }
    this.hear(node, stop);
  }

  /** Listens in a context of the device's own rate, which hands its samples over. */
  async hearElsewhere(stream, stop) {
    const context = new AudioContext({ latencyHint: "interactive" });
    try {
      await this.addModule(context);
      const source = context.createMediaStreamSource(stream);
      const node = new AudioWorkletNode(context, "ddsp-microphone", { channelCount: 1, channelCountMode: "explicit" });
      const { port1, port2 } = new MessageChannel();
      node.port.postMessage(port1, [port1]);
      source.connect(node).connect(context.destination); // silent; Firefox pulls what leads there
      context.resume();
      this.deafen();
      const close = () => {
        stop();
        context.close();
      };
      this.input = { node: source, stop: close };
      this.node.port.postMessage({ listen: true, port: port2, rate: context.sampleRate }, [port2]);
    } catch (error) {
      context.close();
      throw error;
    }
  }

  /**
   * Plays what is in an audio file.
   * @param {Blob} file Any format that the browser decodes.
   * @param {function(): void} onEnd Called when it is over.
   * @returns {Promise<number>} Its length, s.
   */
  async hearFile(file, onEnd) {
    await this.start();
    const buffer = await this.context.decodeAudioData(await file.arrayBuffer());
    const node = new AudioBufferSourceNode(this.context, { buffer });
    this.hear(node, () => node.stop());
    node.onended = () => {
      if (this.input?.node !== node) return;
      this.deafen();
      onEnd();
    };
    node.start();
    return buffer.duration;
  }

  hear(node, stop) {
    this.deafen();
    this.input = { node, stop };
    node.connect(this.node);
    this.send({ listen: true });
  }

  /** Ends listening. */
  deafen() {
    if (!this.input) return;
    const { node, stop } = this.input;
    this.input = null;
    node.disconnect();
    stop();
    this.send({ listen: false });
  }

  /** After an error in the audio thread, which never runs again. */
  async fail() {
    this.deafen();
    if (this.blocks) {
      this.finishRecording();
      await new Promise((resolve) => { setTimeout(resolve); }); // the last word is the failure's
    }
    this.onFailure("The sound has stopped for an error; reload the page to go on.");
  }

  /** Starts a recording; `recorded` gives its wav file as a blob, also when it is full. */
  async record() {
    await this.start();
    this.blocks = [];
    this.recorded = new Promise((resolve) => { this.finish = resolve; });
    this.send({ record: true });
  }

  /** Ends it. */
  stopRecording() {
    this.send({ record: false });
  }

  finishRecording() {
    this.finish(toWav(this.blocks, this.context.sampleRate));
    this.blocks = null;
  }
}
