#!/usr/bin/env bash
# kaniko's executor from its maintained Go module, as an OCI layout, for the tests of image builds.
# Usage: kaniko.sh OUT. Kept outside the tree, for the next time: ${XDG_CACHE_HOME:-~/.cache}/danube/kaniko-VERSION.
set -euo pipefail

out=${1:?usage: kaniko.sh OUT}
version=v1.25.0
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/danube/kaniko-$version
if [ ! -x "$cache/executor" ]; then
  command -v go >/dev/null || { echo "kaniko.sh: Go is not installed (https://go.dev/dl)" >&2; exit 1; }
  work=$(mktemp -d "${TMPDIR:-/tmp}/danube-kaniko.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  printf 'module danube.example/kaniko\n\ngo 1.24.0\n\nrequire github.com/chainguard-dev/kaniko %s\n' "$version" > go.mod
  printf '//go:build tools\n\npackage tools\n\nimport _ "github.com/chainguard-dev/kaniko/cmd/executor"\n' > tools.go
  export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod -trimpath"
  echo "kaniko.sh: building kaniko $version, once (some minutes)" >&2
  go mod tidy
  go build -ldflags '-s -w' -o executor github.com/chainguard-dev/kaniko/cmd/executor
  mkdir -p "$cache"
  install -m 0755 executor "$cache/executor.new"
  mv "$cache/executor.new" "$cache/executor"
fi
root=$(mktemp -d "${TMPDIR:-/tmp}/danube-kaniko-root.XXXXXX")
trap 'rm -rf "$root" "${work:-}"' EXIT
chmod 0755 "$root"
mkdir -p "$root"/{kaniko,tmp,etc,workspace,danube}
chmod 1777 "$root/tmp"
cp "$cache/executor" "$root/kaniko/executor"
tar --owner=0 --group=0 --numeric-owner -C "$root" -cf "$root.tar" .
trap 'rm -rf "$root" "$root.tar" "${work:-}"' EXIT
python3 "$here/../../image/layout.py" "$root.tar" "$out"
