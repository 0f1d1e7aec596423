// SHA-256 (FIPS 180-4) of bytes, at once: crypto.subtle gives promises, and is not everywhere for pages from a file.
const ROUNDS = new Uint32Array(64), START = new Uint32Array(8);
for (let number = 2, found = 0; found < 64; number++) {
  let prime = true;
  for (let by = 2; by * by <= number; by++) if (number % by === 0) prime = false;
  if (!prime) continue;
  const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) >>> 0;
  if (found < 8) START[found] = fraction(Math.sqrt(number));
  ROUNDS[found++] = fraction(Math.cbrt(number));
}
const UTF8 = new TextEncoder();
function sha256(data) {
  if (typeof data === "string") data = UTF8.encode(data);
  const length = data.length, blocks = ((length + 8) >> 6) + 1;
  const tail = new Uint8Array(128), whole = length & ~63, words = new Uint32Array(64), state = START.slice();
  tail.set(data.subarray(whole));
  tail[length - whole] = 128;
  const end = new DataView(tail.buffer), at = blocks * 64 - whole - 8;
  end.setUint32(at, Math.floor(length / 2 ** 29));
  end.setUint32(at + 4, (length << 3) >>> 0);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  for (let block = 0; block < blocks; block++) {
    const from = block * 64 < whole ? data : tail, base = block * 64 - (from === tail ? whole : 0);
    for (let i = 0; i < 16; i++) {
      const b = base + i * 4;
      words[i] = (from[b] << 24) | (from[b + 1] << 16) | (from[b + 2] << 8) | from[b + 3];
    }
    for (let i = 16; i < 64; i++) {
      const x = words[i - 15], y = words[i - 2];
      words[i] = words[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + words[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, k] = state;
    for (let i = 0; i < 64; i++) {
      const one = (k + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i] + words[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      k = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, k].forEach((value, i) => { state[i] += value; });
  }
  return [...state].map((word) => word.toString(16).padStart(8, "0")).join("");
}
// Canonical JSON, as builder.oci.canonical writes it: keys sorted, no blanks.
function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value && typeof value === "object")
    return "{" + Object.keys(value).sort().map((key) => JSON.stringify(key) + ":" + canonical(value[key])).join(",") + "}";
  return JSON.stringify(value);
}
const fromBase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const through = async (data, stream) =>
  new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer());
