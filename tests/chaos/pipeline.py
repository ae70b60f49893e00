"""What the chaos harness builds: side by side, again, with secrets, artifacts, reports, and doors that it opens."""

from danube import Retry, annotate, artifacts, ctx, pipeline, secrets, step, tests


def run(name, script, image="host", **more):
    # The ledger is outside of everything that Danube keeps: it says how often a command really ran.
    return step.run(f'echo "$DANUBE_JOB_ID {name}" >> /ledger/ledger; {script}', name=name, image=image, **more)


def door(n):
    return run(f"door {n}", f"until test -e /ledger/open-$DANUBE_JOB_ID-{n} -o -e /ledger/open-all-{n}; do sleep 0.02; done", timeout="10m")


LINES = """python3 -uc '
import sys, time
for n in range(1, 60001):
    sys.stdout.write(f"line {n}\\n")
    if n % 600 == 0:
        sys.stdout.flush(); time.sleep(PAUSE)
'"""


# An image of one file; the shell is lent to it.
IMAGE = """python3 - <<'END'
import hashlib, io, json, os, platform, tarfile
os.makedirs("img/blobs/sha256", exist_ok=True)
def blob(data):
    digest = hashlib.sha256(data).hexdigest()
    open("img/blobs/sha256/" + digest, "wb").write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as layer:
    entry = tarfile.TarInfo("mark"); entry.size = 5
    layer.addfile(entry, io.BytesIO(b"image"))
layer = blob(tar.getvalue())
machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
config = blob(json.dumps({"os": "linux", "architecture": machine, "rootfs": {"diff_ids": [layer["digest"]]}}).encode())
layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar"
config["mediaType"] = "application/vnd.oci.image.config.v1+json"
manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode())
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open("img/index.json", "w"))
END"""


@pipeline(name="app", timeout="1h")
def build():
    moment, number = ctx.now(), ctx.random()
    same = ctx.changed("**") in (True, False)
    run("first", f"mkdir out; echo {moment} {number} > same; echo began")
    if ctx.params.get("full"):
        run("full", "fallocate -l 1200M full; sleep 600")
    door(1)
    token = secrets.get("TOKEN")
    assert secrets.get("OPEN").reveal() == "to be shown"
    step.parallel(
        lambda: run("lines", LINES.replace("PAUSE", ctx.params.get("pause", "0.05"))),
        lambda: run("flaky", "test -e tried || { touch tried; exit 7; }", retry=Retry(2, on=("exit",), backoff="1s")),
        lambda: run("secret", 'echo "$TOKEN" | sha256sum; echo "as it is: $TOKEN"', env={"TOKEN": token}),
        lambda: door(2),
    )
    run("pack", IMAGE)
    run("in an image", "read -r mark < /mark || echo $mark", image="oci:./img")
    run("bytes", "seq 1 200000 > out/numbers; gzip -nkf out/numbers")
    artifacts.upload("out/numbers", name="numbers")
    artifacts.upload("out", name="out", when="always")
    artifacts.upload("out/numbers.gz", name="spoiled", when="failure")
    door(3)
    made = run("made", "head -c 24 /dev/urandom | base64", capture="secret")
    run("use", 'test -n "$MADE" && echo "$MADE"', env={"MADE": made.secret})
    secrets.mask("a value of this run")
    run("report", "printf '<testsuite><testcase name=\"a\"/><testcase name=\"b\"/></testsuite>' > report.xml")
    tests.junit("report.xml", name="unit")
    annotate("see **unit**")
    text = run("text", f"grep -c '{number}' same; echo a value of this run", capture=True).stdout
    assert same and text == "1\n[secret masked]\n", text
    artifacts.download("numbers", dest="again")
    door(4)
    run("last", "cmp again/numbers out/numbers 2>/dev/null || cmp again out/numbers")
