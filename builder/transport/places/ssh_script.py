"""What the other machine does for ssh:// places, in its own shell: sh and coreutils, and flock where stores are shared.

One command a line comes in, one line goes out, with bytes after it where that says so; the first line out is

    pybuild-ssh 1 KIND EXACT LOCK        KIND: absent, empty (or begun), layout, store, other; EXACT: what reads a
                                         number of bytes: head, dd, none; LOCK: flock, none

    get PATH                     yes SIZE and the bytes; or no
    begin                        done: a layout is there, or of a store a lease is held (builder.store.leases)
    has ALGORITHM HEX SIZE       yes, when the blob is there and is what its name says; or no
    put ALGORITHM HEX SIZE       at N: the bytes from N on are wanted; then done, or wrong SUM
    index                        as `get index.json`; from now on nobody else changes it
    write SIZE                   done, once these bytes are index.json

A blob grows in .incoming/HEX, under a lock, so that the next try goes on where this one broke; without flock it has a
name of its own, which goes when the shell does. It is renamed when it has the digest that it should have. What nobody
has written to for a week, and nobody holds, goes when the next transfer begins, or by prune (builder.store.incoming).
"""

from __future__ import annotations

from builder.store.incoming import KEPT_DAYS

SCRIPT = r"""
root=$1 lease= mine= locked=
say() { printf "%s\n" "$*"; }
fail() { say "error $*"; exit 1; }
clean() { rm -f $lease $mine; [ -z "$locked" ] || rmdir .lock; }
trap clean EXIT
trap "exit 1" HUP INT TERM PIPE

exact=none
if [ "$(printf "ab\n" | { head -c 1 >/dev/null 2>&1; cat; })" = b ]; then exact=head
elif [ "$(printf "ab\n" | { dd bs=1 count=1 iflag=fullblock >/dev/null 2>&1; cat; })" = b ]; then exact=dd; fi
lock=none
if command -v flock >/dev/null 2>&1; then lock=flock; fi
kind=other
if [ ! -e "$root" ]; then kind=absent
elif [ -f "$root/oci-layout" ]; then
  kind=layout
  if [ -d "$root/leases" ] && [ -d "$root/indexes" ]; then kind=store; fi
elif [ -d "$root/.incoming" ] || { [ -d "$root" ] && [ -z "$(ls -A "$root")" ]; }; then kind=empty; fi
case $kind in
  absent|other) ;;
  *) cd "$root" || fail "the directory cannot be entered" ;;
esac
say "pybuild-ssh 1 $kind $exact $lock"

size() { wc -c <"$1" | tr -d " "; }
sum() { "${1}sum" <"$2" | cut -d " " -f 1; }
keep() { sync "$1" 2>/dev/null || sync; mv -f "$1" "$2"; }
take() {
  if [ $exact = head ]; then head -c "$1"; return; fi
  blocks=$(($1 / 65536)) rest=$(($1 % 65536))
  [ $blocks = 0 ] || dd bs=65536 count=$blocks iflag=fullblock 2>/dev/null || return
  [ $rest = 0 ] || dd bs=$rest count=1 iflag=fullblock 2>/dev/null
}
pin() {
  [ -n "$lease" ] || return 0
  say "$1" >&5 && flock -s 6 && flock -u 6 || fail "the lease cannot be written"
}
give() {
  if [ -f "$1" ]; then say "yes $(size "$1")"; cat "$1" || exit 1; else say no; fi
}
sweep() {
  find .incoming -type f -mtime +DAYS 2>/dev/null | while read -r old; do
    if [ $lock = none ]; then rm -f "$old"; else (flock -n 9 && rm -f "$old") 9<"$old"; fi
  done
}
begin() {
  if [ $kind = absent ]; then
    mkdir -p "$root" && cd "$root" || fail "the directory cannot be made"
  fi
  mkdir -p blobs/sha256 .incoming || fail "nothing can be written there"
  sweep
  if [ $kind = store ]; then
    exec 6>>leases/gate && flock -s 6 || fail "the store cannot be locked"
    lease=leases/ssh$$.$(date +%s)
    exec 5>>"$lease" && flock -x 5 && flock -u 6 || fail "the store cannot be locked"
  fi
  say done
}
has() {
  pin "$1:$2"
  if [ -f "blobs/$1/$2" ] && [ "$(size "blobs/$1/$2")" = "$3" ] && [ "$(sum "$1" "blobs/$1/$2")" = "$2" ]
  then say yes; else say no; fi
}
put() {
  pin "$1:$2"
  mkdir -p "blobs/$1" .incoming || fail "nothing can be written there"
  part=.incoming/$2
  if [ $lock = none ]; then part=$part.$$ mine=$part; : >"$part"
  else
    exec 7>>"$part"
    if ! flock -n 7 || [ ! -e "$part" ]; then part=$part.$$ mine=$part; exec 7>>"$part"; flock -n 7; fi
  fi
  have=$(size "$part") || fail "nothing can be written there"
  if [ "$have" -gt "$3" ]; then : >"$part"; have=0; fi
  say "at $have"
  take $(($3 - have)) >>"$part" || fail "the blob cannot be written: is the disk full?"
  [ "$(size "$part")" = "$3" ] || exit 1
  found=$(sum "$1" "$part")
  if [ "$found" = "$2" ]; then
    chmod 644 "$part"
    keep "$part" "blobs/$1/$2" || fail "the blob cannot be put in its place"
    say done
  else rm -f "$part"; say "wrong $found"; fi
  exec 7>&-
  mine=
}
index() {
  if [ $kind = store ]; then exec 8>>index.lock; else exec 8<.; fi
  if [ $lock = flock ]; then flock 8 || fail "index.json cannot be locked"
  else
    tries=0
    until mkdir .lock 2>/dev/null; do
      tries=$((tries + 1))
      [ $tries -lt 30 ] || fail "somebody changes index.json; if nobody does, remove $root/.lock"
      sleep 1
    done
    locked=yes
  fi
  give index.json
}
write() {
  mine=.incoming/index.$$
  mkdir -p .incoming
  take "$1" >$mine || fail "index.json cannot be written: is the disk full?"
  [ "$(size $mine)" = "$1" ] || exit 1
  if [ ! -f oci-layout ]; then
    printf "%s" "{\"imageLayoutVersion\":\"1.0.0\"}" >oci-layout || fail "oci-layout cannot be written"
  fi
  chmod 644 $mine
  keep $mine index.json || fail "index.json cannot be put in its place"
  mine=
  [ -z "$locked" ] || { rmdir .lock; locked=; }
  exec 8>&-
  rmdir .incoming 2>/dev/null
  say done
}

while read -r verb one two three; do
  case $verb in
    get) give "$one" ;;
    begin) begin ;;
    has) has "$one" "$two" "$three" ;;
    put) put "$one" "$two" "$three" ;;
    index) index ;;
    write) write "$one" ;;
    *) fail "no such command" ;;
  esac
done
""".replace("DAYS", str(KEPT_DAYS - 1))  # find(1) counts whole days
