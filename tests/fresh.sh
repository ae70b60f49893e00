#!/usr/bin/env bash
# The README's two commands on a clean machine: a Debian root that holds only what the README asks for, entered
# by pivot_root in namespaces of its own, with the Rust toolchain lent read-only. Needs root and mmdebstrap.
# The package managers' settings of this machine (certificates, proxies, name servers) are lent as well.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/danube-fresh.XXXXXX")
root=$work/root
cleanup() { rm -rf --one-file-system "$work"; }
trap cleanup EXIT
chmod 0755 "$work"

# The commands, out of the README, between their markers.
command_of() { sed -n "/<!-- $1 -->/,/<!-- end -->/p" "$top/README.md" | sed -n '/^```/,/^```/p' | grep -v '^```'; }
demo=$(command_of demo)
test=$(command_of test)
[ -n "$demo" ] && [ -n "$test" ] || { echo "fresh.sh: README.md has no commands between its markers" >&2; exit 1; }

echo "fresh: a Debian root with git, make, curl, python3"
mmdebstrap --quiet --variant=minbase --include=ca-certificates,curl,git,make,python3 bookworm "$root" >/dev/null

cargo=${CARGO_HOME:-$HOME/.cargo}
toolchain=$(rustc --print sysroot)
git clone --quiet "$top" "$root/root/danube"
mkdir -p "$root/opt/rust" "$root/opt/cargo/registry" "$root/old" "$work/cargo-upper" "$work/cargo-work"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
for file in /etc/pip.conf "$HOME/.npmrc"; do
  if [ -e "$file" ]; then cp -L "$file" "$root$( [ "$file" = /etc/pip.conf ] && echo /etc/pip.conf || echo /root/.npmrc )"; fi
done

# Settings by which the package managers reach their registries; nothing else of this environment goes in.
settings=()
while IFS='=' read -r name value; do
  case $name in
    PIP_FIND_LINKS) ;;
    *_CA_*|*_CERTS|*_CERT_*|SSL_CERT_*|PIP_*|*_proxy|*_PROXY|*_BUNDLE) settings+=("$name=$value") ;;
  esac
done < <(env)

cat > "$root/enter" <<'INNER'
#!/bin/bash
set -euo pipefail
cd /root/danube
echo "fresh: $DEMO"
bash -ec "$DEMO ARGS=--exit"
echo "fresh: $TEST"
bash -ec "$TEST"
echo "fresh: both commands of the README went well"
INNER
chmod +x "$root/enter"

export root toolchain cargo work
unshare --mount --pid --fork --kill-child --propagation private bash -euo pipefail -c '
  mount --bind "$root" "$root"
  mount --bind -o ro "$toolchain" "$root/opt/rust"
  mount -o remount,bind,ro "$root/opt/rust"
  # What cargo downloads anew lands in the throw-away upper layer.
  mount -t overlay overlay -o "lowerdir=$cargo/registry,upperdir=$work/cargo-upper,workdir=$work/cargo-work" \
    "$root/opt/cargo/registry"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  cd "$root"
  pivot_root . old
  umount -l /old
  exec env -i HOME=/root PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    CARGO_HOME=/opt/cargo LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive "$@" /enter
' enter "${settings[@]}" "DEMO=$demo" "TEST=$test"
