"""Builds simplejson as its authors published it: its C extension, their tests with it and without it, a wheel."""

from danube import artifacts, pipeline, step

PYTHON = "/usr/bin/python3"
ENV = {"PYTHONDONTWRITEBYTECODE": "1", "REQUIRE_SPEEDUPS": "1"}

# The commit as it is, without the compiled extension, in a place of this step's own.
PLAIN = "mkdir /tmp/plain && git archive --format=tar --output=/tmp/plain.tar HEAD && tar -x -C /tmp/plain -f /tmp/plain.tar && cd /tmp/plain"
WITH = f"{PYTHON} -c 'from simplejson import _speedups; print(_speedups.__file__)'"
WITHOUT = f"{PYTHON} -c 'import simplejson; assert simplejson._import_c_make_encoder() is None'"


def tests(extension: str) -> None:
    place = WITH if extension == "with" else f"{PLAIN} && {WITHOUT}"
    step.run(
        f"{place} && {PYTHON} simplejson/tests/__init__.py",
        name=f"the authors' tests, {extension} the C extension",
        image="host",
        env=ENV,
        timeout="5m",
    )


@pipeline(name="simplejson", timeout="15m")
def build() -> None:
    step.run(f"{PYTHON} setup.py -q build_ext --inplace", name="compile the C extension", image="host", env=ENV)
    step.matrix(tests, {"extension": ["with", "without"]})
    # The commit's time instead of the clock's: the second build must give the same bytes.
    make = f"{PYTHON} setup.py -q bdist_wheel --dist-dir"
    step.run(
        "set -eu; export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct); "
        f"{make} dist; rm -r build; {make} again; cmp dist/*.whl again/*.whl; echo two builds, the same bytes",
        name="build the wheel twice and compare",
        image="host",
        env=ENV,
    )
    wheel = step.run("ls dist", name="name of the wheel", image="host", capture=True).stdout.strip()
    step.run(
        f"cd /tmp && {PYTHON} -m zipfile -e /workspace/dist/{wheel} site && cd site && {PYTHON} -c "
        "'import simplejson, simplejson._speedups; print(simplejson.__version__, simplejson.dumps({\"wheel\": True}))'",
        name="use the wheel",
        image="host",
        env=ENV,
    )
    artifacts.upload(f"dist/{wheel}", name="wheel")
