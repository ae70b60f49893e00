"""Builds simplejson as its authors published it: its C extension, their tests with it and without it, a wheel."""

from functools import partial

from danube import artifacts, pipeline, step

PYTHON = "/usr/bin/python3"
# The machine's own tools; no network; compiled Python files outside the source tree.
run = partial(step.run, image="host", network=False, env={"PYTHONPYCACHEPREFIX": "/tmp", "REQUIRE_SPEEDUPS": "1"})


def tests(extension: str) -> None:
    if extension == "with":
        prepare = f"{PYTHON} -c 'from simplejson import _speedups; print(_speedups.__file__)'"
    else:
        # The commit as it is, in a place of this step's own: nothing is compiled there.
        prepare = (
            "mkdir /tmp/plain; git archive --output=/tmp/plain.tar HEAD; cd /tmp/plain; tar -xf ../plain.tar; "
            f"{PYTHON} -c 'import simplejson; assert simplejson._import_c_make_encoder() is None'"
        )
    run(
        f"set -eu; {prepare}; {PYTHON} simplejson/tests/__init__.py",
        name=f"the authors' tests, {extension} the C extension",
        timeout="5m",
    )


@pipeline(name="simplejson", timeout="15m")
def build() -> None:
    run(f"{PYTHON} setup.py -q build_ext --inplace", name="compile the C extension")
    step.matrix(tests, {"extension": ["with", "without"]})
    # The commit's time instead of the clock's: the second build must give the same bytes.
    make = f"{PYTHON} -W ignore setup.py -q bdist_wheel --dist-dir"
    built = run(
        "set -eu; export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct); "
        f"{make} dist; rm -r build; {make} again; cmp dist/*.whl again/*.whl; echo two builds, the same bytes; ls dist",
        name="build the wheel twice and compare",
        capture=True,
    )
    wheel = f"dist/{built.stdout.split()[-1]}"
    run(
        f"set -eu; cd /tmp; {PYTHON} -m zipfile -e /workspace/{wheel} site; cd site; {PYTHON} -c "
        "'import simplejson, simplejson._speedups; print(simplejson.__version__, simplejson.dumps({\"works\": True}))'",
        name="use the wheel",
    )
    artifacts.upload(wheel, name="wheel")
