#!/usr/bin/env bash
# Three images for a pipeline of a real project, from packages of the distribution, as OCI layouts: images.sh OUT.
# Made once: what is there is kept.
set -euo pipefail

out=${1:?usage: images.sh OUT}
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$out"

make_image() { # NAME PACKAGES CONFIG
  [ -e "$out/$1/index.json" ] && return
  echo "image $1: packages $2" >&2
  mmdebstrap --quiet --variant=minbase --include="$2" bookworm "$out/$1.tar" >&2
  python3 "$top/image/layout.py" "$out/$1.tar" "$out/$1" "$3" >&2
  rm "$out/$1.tar"
}

make_image python-dev ccache,gcc,libc6-dev,python3,python3-dev,python3-setuptools,python3-wheel '{"User": "0"}'
make_image lint pyflakes3 '{"WorkingDir": "/"}'
make_image redis redis-server,redis-tools \
  '{"User": "redis", "Entrypoint": ["redis-server"], "Cmd": ["--save", "", "--protected-mode", "no", "--dir", "/tmp"]}'
