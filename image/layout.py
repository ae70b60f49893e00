"""Makes an OCI layout of one layer out of a root's tar, the same bytes for the same files.

layout.py ROOT.tar OUT [CONFIG]: CONFIG is JSON, such as {"User": "1000"}, for the image's own settings.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What the container's runtime makes or mounts itself.
LEFT_OUT = ("dev/", "proc/", "sys/", "run/")


def layer(root: str) -> bytes:
    """The layer: names sorted, times and owners' names gone."""
    out = io.BytesIO()
    with tarfile.open(root) as given, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for member in sorted(given.getmembers(), key=lambda member: member.name):
            member.name = member.name.removeprefix("./").rstrip("/")
            if member.name in ("", ".") or member.name.startswith(LEFT_OUT) or member.isdev():
                continue
            member.mtime, member.uname, member.gname, member.pax_headers = 0, "", "", {}
            member.uid, member.gid, member.mode = 0, 0, member.mode & 0o1777
            made.addfile(member, given.extractfile(member) if member.isreg() else None)
    return out.getvalue()


def main(root: str, out: str, settings: str = "{}") -> None:
    """Writes the layout beside its place, and puts it there when it is whole."""
    tar = layer(root)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as zipped:
        zipped.write(tar)
    draft = out.rstrip("/") + ".new"
    shutil.rmtree(draft, ignore_errors=True)
    os.makedirs(f"{draft}/blobs/sha256")

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{draft}/blobs/sha256/{digest}", "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def text(value: object) -> bytes:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    oci = "application/vnd.oci.image"
    machine = platform.machine()
    config = {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
            **json.loads(settings),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": put(text(config), f"{oci}.config.v1+json"),
        "layers": [put(packed.getvalue(), f"{oci}.layer.v1.tar+gzip")],
    }
    entry = put(text(manifest), f"{oci}.manifest.v1+json")
    index = {"schemaVersion": 2, "mediaType": f"{oci}.index.v1+json", "manifests": [entry]}
    for name, value in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open(f"{draft}/{name}", "wb") as file:
            file.write(text(value))
    shutil.rmtree(out, ignore_errors=True)
    os.rename(draft, out)
    print(f"{out}: {len(packed.getvalue()) / 1e6:.1f} MB packed, {len(tar) / 1e6:.1f} MB in all, {entry['digest']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
