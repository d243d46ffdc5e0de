// Lint of the instrument's JavaScript: `make lint-js`. A development tool only.

const names = (text) => Object.fromEntries(text.split(/\s+/).map((name) => [name, "readonly"]));

export default [{
  files: ["**/*.mjs"],
  languageOptions: {
    ecmaVersion: 2022,
    sourceType: "module",
    globals: names(`
      AudioContext Event AudioWorkletNode AudioBufferSourceNode AudioWorkletProcessor Blob URL
      WebAssembly addEventListener atob devicePixelRatio document getComputedStyle
      innerWidth navigator process registerProcessor requestAnimationFrame sampleRate
    `.trim()),
  },
  linterOptions: { reportUnusedDisableDirectives: "error" },
  rules: {
    "constructor-super": "error", "eqeqeq": "error", "no-const-assign": "error",
    "no-dupe-class-members": "error", "no-dupe-keys": "error", "no-redeclare": "error",
    "no-shadow": "error", "no-undef": "error", "no-unreachable": "error",
    "no-unused-vars": "error", "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
    "no-var": "error", "object-shorthand": "error", "prefer-const": "error",
    "prefer-template": "error", "max-len": ["error", { code: 140 }],
  },
}];
