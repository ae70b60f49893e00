"""What stands beside steps: a service on an image of its own making, and caches, more than there is room for."""
from danube import Cache, Retry, pipeline, step

AGAIN = Retry(5, on=("infra",))

IMAGE = """python3 - <<'END'
import hashlib, json, os, platform
os.makedirs("img/blobs/sha256", exist_ok=True)
def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open("img/blobs/sha256/" + digest, "wb").write(data)
    return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}
layer = blob(bytes(1024), "layer.v1.tar")
machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
run = {"Entrypoint": ["/danube/sh", "-c", "trap 'exit 0' TERM; while :; do read -t 1 never < /dev/null; done"]}
config = {"os": "linux", "architecture": machine, "config": run, "rootfs": {"diff_ids": [layer["digest"]]}}
config = blob(json.dumps(config).encode(), "config.v1+json")
manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
json.dump({"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}, open("img/index.json", "w"))
END"""


def run(script, **more):
    step.run(script, image="host", network=False, retry=AGAIN, **more)


@pipeline(name="beside")
def build() -> None:
    for name in ("one", "other"):
        fill = "head -c 200000 /dev/urandom > ~/.cache/tool/a"
        run(fill, name=name, caches=[Cache(name, ["~/.cache/tool"])])
    run(IMAGE, name="image")
    with step.service("oci:./img", name="db", port=80, ready=":"):
        run("true", name="in its body")
