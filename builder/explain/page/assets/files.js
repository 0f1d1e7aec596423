// Paths and their versions, as columns; and what a file system is after a layer.
const ADDED = 0, MODIFIED = 1, TOUCHED = 2, WHITEOUT = 4, OPAQUE = 5, IMPLIED = 6;
const DELETED = 1, OVERWRITTEN = 2, SAME_CONTENT = 3, MERGED = 4;
const FILE = 0, DIRECTORY = 1, SYMLINK = 2, HARDLINK = 3;
const SIGNS = "-dlhcbp";
let F = null; // once they are read

async function loadFiles() {
  const element = byId("files");
  let text = element.textContent;
  if (element.type === "application/gzip")
    text = new TextDecoder().decode(await through(fromBase64(text), new DecompressionStream("gzip")));
  element.remove();
  F = arrange(JSON.parse(text));
}
function arrange(columns) {
  const f = { n: columns.depth.length, names: columns.names.split("\0") };
  for (const key of ["depth", "count", "chain", "layer", "by", "change", "how", "attributes", "times", "size", "same"])
    f[key] = key === "size" ? Float64Array.from(columns[key]) : Int32Array.from(columns[key]);
  Object.assign(f, { table: columns.table, moments: columns.moments, links: columns.links, xattrs: columns.xattrs, devices: columns.devices, secret: columns.secret, order: columns.order });
  f.kind = Int8Array.from(f.attributes, (at) => f.table[at][0]);
  f.first = new Int32Array(f.n + 1);
  f.parent = new Int32Array(f.n);
  f.children = new Array(f.n);
  const above = [];
  for (let p = 0; p < f.n; p++) {
    f.first[p + 1] = f.first[p] + f.count[p];
    const depth = f.depth[p];
    above[depth] = p;
    f.parent[p] = depth ? above[depth - 1] ?? -1 : -1;
    if (f.parent[p] >= 0) (f.children[f.parent[p]] ||= []).push(p);
  }
  if (f.n && f.depth[0] !== 0) throw new Error("the root is missing");
  f.owner = new Int32Array(f.layer.length);
  for (let p = 0; p < f.n; p++) f.owner.fill(p, f.first[p], f.first[p + 1]);
  return f;
}
function pathOf(p) {
  const parts = [];
  for (; p > 0; p = F.parent[p]) parts.push(F.names[p]);
  return "/" + parts.reverse().join("/");
}
function findPath(path) {
  let at = F.n ? 0 : -1;
  for (const part of path.split("/").filter(Boolean)) {
    at = (F.children[at] || []).find((child) => F.names[child] === part) ?? -1;
    if (at < 0) return -1;
  }
  return at;
}
const mode = (v) => F.table[F.attributes[v]][1];
const owners = (v) => F.table[F.attributes[v]].slice(2).join(":");
const isMarker = (v) => F.change[v] === WHITEOUT || F.change[v] === OPAQUE;
const isLost = (v) => F.how[v] >= DELETED && F.how[v] <= SAME_CONTENT;
const sees = (v, rank) => F.layer[v] <= rank && !isMarker(v) && (F.by[v] < 0 || F.by[v] > rank);
// The versions of a path that a chain has: its own, or those of the layers that it shares with the first.
function versionsOf(p, chain, rank) {
  const all = [], shared = CHAINS[chain].shared - 1;
  for (let v = F.first[p]; v < F.first[p + 1]; v++) if (F.chain[v] === chain) all.push(v);
  if (all.length || !chain) return { all, rank };
  for (let v = F.first[p]; v < F.first[p + 1]; v++) if (F.chain[v] === 0 && F.layer[v] <= shared) all.push(v);
  return { all, rank: Math.min(rank, shared) };
}

// What each path is at a place: `seen`, or `ghost` (stored, not seen), the letter of what the step did, and sums.
function fileSystem(where) {
  const { chain, rank, low, base } = where, n = F.n, shared = CHAINS[chain].shared - 1;
  const seen = new Int32Array(n).fill(-1), ghost = new Int32Array(n).fill(-1), marker = new Int32Array(n).fill(-1);
  const letter = new Uint8Array(n), size = new Float64Array(n), changed = new Int32Array(n), shows = new Uint8Array(n);
  const sums = { files: 0, bytes: 0, ghosts: 0, hidden: 0, A: 0, M: 0, D: 0 };
  for (let p = n - 1; p >= 0; p--) {
    let own = chain === 0, before = -1;
    const from = F.first[p], to = F.first[p + 1];
    if (!own) for (let v = from; v < to && !own; v++) own = F.chain[v] === chain;
    const top = own ? rank : Math.min(rank, shared), using = own ? chain : 0;
    for (let v = from; v < to; v++) {
      if (F.chain[v] !== using || F.layer[v] > top) continue;
      if (isMarker(v)) {
        if (F.layer[v] >= low) marker[p] = v;
        continue;
      }
      const gone = F.by[v] >= 0 && F.by[v] <= top;
      if (!gone) seen[p] = v;
      else {
        ghost[p] = v;
        if (F.kind[v] === FILE && isLost(v)) { sums.hidden += F.size[v]; }
      }
      if (F.layer[v] < low && (F.by[v] < 0 || F.by[v] >= low)) before = v;
    }
    const now = seen[p];
    if (!base) {
      if (now >= 0 && F.layer[now] >= low && own) {
        const what = F.change[now];
        if (before < 0) letter[p] = what === IMPLIED ? 0 : 65;
        else if (what === MODIFIED || what === TOUCHED || (what === ADDED && F.kind[now] !== DIRECTORY)) letter[p] = 77;
      } else if (now < 0 && before >= 0) letter[p] = 68;
    }
    const isFolder = now >= 0 ? F.kind[now] === DIRECTORY : ghost[p] >= 0 && F.kind[ghost[p]] === DIRECTORY;
    if (now >= 0) {
      ghost[p] = ghost[p] >= 0 && F.how[ghost[p]] !== MERGED ? ghost[p] : -1; // it covers an older copy
      if (F.kind[now] !== DIRECTORY) { sums.files++; size[p] += F.size[now]; sums.bytes += F.size[now]; }
    } else if (ghost[p] >= 0 && !isFolder) sums.ghosts++;
    if (letter[p] && !isFolder) { sums[String.fromCharCode(letter[p])]++; changed[p]++; }
    else if (letter[p]) changed[p]++;
    shows[p] |= now >= 0 ? 1 : ghost[p] >= 0 || marker[p] >= 0 ? 2 : 0;
    const up = F.parent[p];
    if (up >= 0) { size[up] += size[p]; changed[up] += changed[p]; shows[up] |= shows[p] & 3 ? 2 : 0; }
  }
  return { ...where, seen, ghost, marker, letter, size, changed, shows, sums };
}
// Entries of one layer, in the order of its tar where that is known.
function entriesOf(chain, rank) {
  if (chain && rank < CHAINS[chain].shared) chain = 0;
  const given = F.order[`${chain}/${rank}`];
  const found = [];
  for (let v = 0; v < F.layer.length; v++)
    if (F.layer[v] === rank && F.chain[v] === chain && F.change[v] !== IMPLIED) found.push(v);
  const storedName = (v) => F.change[v] === OPAQUE ? ".wh..wh..opq" : F.change[v] === WHITEOUT ? ".wh." + F.names[F.owner[v]] : "";
  if (!given) return { list: found, known: true, storedName };
  const placed = new Set(given);
  return { list: given.concat(found.filter((v) => !placed.has(v))), known: found.every((v) => placed.has(v)), storedName };
}
const storedPath = (v, stored) => {
  const p = F.owner[v], special = stored(v);
  if (F.change[v] === OPAQUE) return (p ? pathOf(p).slice(1) + "/" : "") + special;
  const path = pathOf(p).slice(1), slash = path.lastIndexOf("/") + 1;
  return special ? path.slice(0, slash) + special : path + (F.kind[v] === DIRECTORY ? "/" : "") || "./";
};
// All versions in the image whose bytes are stored and not seen, largest first; only those at or below a layer.
function lostVersions() {
  const lost = [];
  for (let v = 0; v < F.layer.length; v++)
    if (F.chain[v] === 0 && isLost(v) && F.kind[v] === FILE && F.size[v]) lost.push(v);
  return lost.sort((a, b) => F.size[b] - F.size[a]);
}
