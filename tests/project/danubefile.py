"""simplejson with what a team would use for it: three images of a registry, a service, two caches, steps side by side."""

from danube import Cache, artifacts, ctx, pipeline, step

PYTHON = "registry.example.com/ci/python-dev:1"
LINT = "registry.example.com/ci/lint:1"
REDIS = "registry.example.com/ci/redis:1"

# Counts the runs of the suite in the service, by the protocol of Redis itself.
COUNT = """python3 - <<'END'
import os, socket
link = socket.create_connection(("db", 6379), timeout=10)
link.sendall(b"INCR suites\\r\\n")
print("suites so far:", link.recv(64).decode().strip().lstrip(":"), "of branch", os.environ["MODE"])
END
"""


def suite(mode: str) -> None:
    path = "$(echo /workspace/build/lib.*)" if mode == "compiled" else "/workspace"
    with step.service(REDIS, name="db", port=6379, ready="redis-cli ping"):
        step.run(
            f"set -eu; cd /tmp; export PYTHONPATH={path}; python3 -c 'import simplejson.tests as t; t.main()'; {COUNT}",
            name="the authors' tests",
            image=PYTHON,
            env={"MODE": mode},
        )


@pipeline(name="simplejson", timeout="10m")
def build() -> None:
    objects = Cache("objects", ["~/.cache/ccache"])
    built = Cache("build", ["build"], key=ctx.hash("simplejson/**", "setup.py"))
    step.parallel(
        lambda: step.run("pyflakes3 setup.py simplejson/ordered_dict.py", name="lint", image=LINT),
        lambda: step.run(
            "ccache --zero-stats >/dev/null; CC='ccache gcc' python3 -W ignore setup.py -q build; ccache --show-stats",
            name="compile",
            image=PYTHON,
            caches=[objects, built],
        ),
    )
    step.matrix(suite, {"mode": ["compiled", "plain"]})
    step.run("python3 -W ignore setup.py -q bdist_wheel", name="wheel", image=PYTHON)
    artifacts.upload("dist", name="wheel")
