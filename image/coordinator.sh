#!/usr/bin/env bash
# The image that danubefiles run in, as an OCI layout, from packages of the distribution: Python with its library, a
# shell, and the git program that writes checkouts. No compilers, no package manager. The SDK is not in it: each
# release of danube brings its own and mounts it, so that image and release can be changed one without the other.
#
# Usage: coordinator.sh OUT [SUITE]     needs mmdebstrap and python3; as an ordinary user, user namespaces besides.
# The same packages give the same bytes: times are fixed, names sorted, Python's caches made by content.
set -euo pipefail

out=${1:?usage: coordinator.sh OUT [SUITE]}
suite=${2:-bookworm}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/danube-coordinator.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
export PYTHONHASHSEED=0 LC_ALL=C.UTF-8

# What a danubefile and a checkout need of these packages and of what they depend on; all else goes.
cat > "$work/setup" <<'INNER'
#!/bin/sh
set -eu
mkdir -p "$1/usr/bin" "$1/usr/sbin" "$1/usr/lib" "$1/usr/lib64"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$1/$name"; done
INNER

cat > "$work/trim" <<'INNER'
#!/bin/bash
set -eu
cd "$1"
python=$(basename "$(ls -d usr/lib/python3.[0-9]* | head -1)")
# Programs by name; libraries by what these need.
mkdir keep
for program in "$python" git dash cat env ls mkdir rm; do cp -a "usr/bin/$program" keep/; done
rm -rf usr/bin usr/sbin/* && mv keep usr/bin
ln -s "$python" usr/bin/python3
ln -s dash usr/bin/sh
rm -rf usr/lib/python3 usr/lib/git-core usr/lib/apt usr/lib/dpkg usr/lib/systemd usr/lib/tmpfiles.d usr/lib/mime
rm -rf "usr/lib/$python/"{test,idlelib,lib2to3,ensurepip,distutils,turtledemo,tkinter,pydoc_data} "usr/lib/$python"/config-*
rm -rf usr/share var/cache var/log var/lib/apt var/lib/dpkg usr/include usr/games usr/src usr/local usr/libexec boot srv media mnt opt
rm -rf usr/lib/*/perl* usr/lib/*/gconv usr/lib/*/krb5 usr/lib/*/sasl2 usr/lib/*/ldap usr/lib/*/audit usr/lib/*/engines-* usr/lib/*/ossl-modules
rm -rf etc dev proc sys run tmp home root var
mkdir -p etc proc dev sys run home tmp root var/tmp workspace danube
chmod 1777 tmp var/tmp
chmod 0700 root
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' > etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' > etc/group
printf 'hosts: files dns\npasswd: files\ngroup: files\n' > etc/nsswitch.conf
: > etc/hosts
: > etc/resolv.conf
INNER

# Libraries that nothing in the image needs go: found by asking the dynamic linker of the image itself.
cat > "$work/libraries" <<'INNER'
#!/bin/sh
set -eu
cd "$1"
libs=$(dirname "$(ls usr/lib/*/libc.so.6)")
LC_ALL=C chroot . /usr/bin/python3 -I -S -c '
import os, pathlib, struct, sys
libs = pathlib.Path("/" + sys.argv[1])
def needed(path):
    data = path.read_bytes()
    if data[:4] != b"\x7fELF": return []
    shoff, = struct.unpack_from("<Q", data, 40)
    size, count, _ = struct.unpack_from("<HHH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, shoff + n * size) for n in range(count)]
    for section in sections:
        if section[1] == 6:
            names = sections[section[6]][4]
            for at in range(section[4], section[4] + section[5], 16):
                tag, value = struct.unpack_from("<QQ", data, at)
                if tag == 1:
                    yield data[names + value:data.index(b"\0", names + value)].decode()
todo = [p for p in pathlib.Path("/usr/bin").iterdir() if p.is_file()]
todo += pathlib.Path("/usr/lib").glob("python3.*/lib-dynload/*.so")
todo += [p for p in libs.glob("libnss_files*")] + [p for p in libs.glob("libnss_dns*")] + [p for p in libs.glob("ld-linux*")]
keep = set(todo)
while todo:
    for name in needed(todo.pop()):
        path = libs / name
        if path.exists() and path not in keep:
            keep.add(path); todo.append(path)
real = {p.resolve() for p in keep} | keep
for path in sorted(libs.rglob("*"), reverse=True):
    if path.is_dir() and not path.is_symlink():
        if not any(path.iterdir()): path.rmdir()
    elif path not in real and path.resolve() not in real:
        path.unlink()
' "$libs"
python=$(basename "$(ls -d usr/lib/python3.[0-9]* | head -1)")
find "usr/lib/$python" -name __pycache__ -prune -exec rm -rf {} +
chroot . /usr/bin/python3 -I -m compileall -q -j 1 --invalidation-mode unchecked-hash "/usr/lib/$python"
INNER
cat > "$work/inner" <<'INNER'
#!/bin/bash
set -euo pipefail
mkdir "$1/root"
tar -C "$1/root" --no-same-owner -xf "$1/packages.tar"
"$1/trim" "$1/root"
"$1/libraries" "$1/root"
tar -C "$1/root" -cf "$1/root.tar" .
rm -rf "$1/root"
INNER
chmod 0755 "$work"/{setup,trim,libraries,inner}

echo "coordinator image: packages of $suite" >&2
mmdebstrap --quiet --variant=extract --include=python3,git,dash,coreutils --setup-hook="$work/setup \"\$1\"" \
  "$suite" "$work/packages.tar"
# What is left out is left out as root, of a namespace where this is nobody's.
if [ "$(id -u)" = 0 ]; then "$work/inner" "$work"; else unshare --map-root-user --mount "$work/inner" "$work"; fi
python3 "$here/layout.py" "$work/root.tar" "$out"
