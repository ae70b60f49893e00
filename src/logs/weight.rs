//! How much a line of a log looks like the cause of a failure. Pure.
use std::sync::LazyLock;

use regex::Regex;

/// From a word that may mean nothing to what a compiler or a test runner says of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// The word alone: `error`, `failed`.
    Word,
    /// It follows from another error: `make: *** [all] Error 1`.
    Effect,
    /// An error of no form that is known: `error: …`.
    General,
    /// What failed, in the form of a known program: `a.c:3:5: error: …`.
    Cause,
}

/// What says that all is well, whatever else the line says.
const FINE: &str = r"^(?:ok\b|PASS(?:ED)?\b|✓|✔|√|not ok\b.*# (?i:todo|skip))|\.\.\. ok$|\bPASSED\b";

/// What takes their meaning from words that are no more than that.
const HARMLESS: &str = r"(?i)\bwarn(?:ing)?\b|\b(?:0|no|without) (?:\w+ )?(?:error|failed|failure)|\b(?:errors?|failed|failures)\s?[=:]\s?0\b|^note:|\(ignored\)";
/// The same for single words.
const EXPECTED: &str = r"(?i)\bexpect(?:ed|s|ing)?\b|\bhandl(?:ed|er|ing)\b|\breport(?:ing|s|er)\b";

const EFFECT: [&str; 16] = [
    r"(?:make|gmake|ninja)(?:\.exe)?(?:\[\d+\])?: \*\*\*",
    r"\]: \*\*\*",
    r"^ninja: build stopped",
    r"^error: (?:could not compile|aborting due to|test failed|process didn't exit|recipe .* failed|Bad exit status)",
    r"^error: .* exited with",
    r"^(?:npm ERR!|npm error|error Command failed|ERR_PNPM|\s*ELIFECYCLE)",
    r"\bELIFECYCLE\b",
    r"BUILD FAILED|FAILURE: Build failed|BUILD FAILURE",
    r"collect2: error: ld returned",
    r"all warnings being treated as errors",
    r"##\[error\]Process completed",
    r"^FAILED \((?:failures|errors)=",
    r"^FAIL$",
    r"^=+ .*\b\d+ (?:failed|error)",
    r"^error\[internal\]: step",
    r"^\[ERROR\] (?:-> )?(?:\[Help|Re-run|To see the full|For more information|After correcting|Failed to execute goal)",
];

const CAUSE: [&str; 30] = [
    // Compilers, linters and type checkers.
    r"^[^\s:][^:]*:\d+(?::\d+)?:? (?:- )?(?i:fatal )?(?i:error)\b",
    r"\(\d+(?:,\d+)?\): (?:fatal )?error\b",
    r"^\S+\.go:\d+:\d+: \S",
    r"^error\[E\d+\]",
    r"^\S*(?:gcc|g\+\+|cc1|cc1plus|cc|c\+\+|clang|clang\+\+|rustc|javac)(?:-\d+)?: (?:fatal )?error: ",
    r"^CMake Error",
    r"^\[ERROR\] \S+\.(?:java|kt|scala|groovy):",
    r"\bundefined (?:reference|symbol)\b|\bmultiple definition of\b",
    r"\bld(?:\.\w+)?: (?:cannot|error|library not|symbol)|cannot find -l",
    // Test runners.
    r"^E {3,}\S",
    r"^FAILED \S",
    r"^FAIL: |^ERROR: test\w* |^ERROR \S+\.py",
    r"\S::\S+ (?:FAILED|ERROR)\b",
    r"^(?:---|===) FAIL\b|^FAIL\s+\S",
    r"^not ok\b",
    r"^(?:✗|✕|✘|✖|●) \S|^×\s",
    r"^test .* \.\.\. FAILED$",
    r"^\[ERROR\] .*(?:FAILURE!|ERROR!)",
    // Languages.
    r"\bpanicked at\b",
    r"^panic: |^fatal error: |^goroutine panic",
    r"^(?:Uncaught |Unhandled )?(?:[A-Za-z_$][\w$]*\.)*[A-Z]\w*(?:Error|Exception|Failed)(?: \[\w+\])?(?::(?: |$)|$)",
    r"^Exception in thread|^Caused by: ",
    r"^(?:PHP )?Fatal error: |^PHP Parse error",
    // The machine and its tools.
    r"^fatal: ",
    r"command not found|^\S*sh: (?:\d+: |line \d+: )?\S+: not found$|^\S*env: .*No such file",
    r"error while loading shared libraries|cannot open shared object file",
    r"Segmentation fault|Bus error|Illegal instruction|core dumped",
    r"^\S+: symbol lookup error",
    r"No space left on device",
    r"^E: (?:Unable|Failed|Package)",
];

const GENERAL: [&str; 12] = [
    r"^(?:[\[<(]?(?i:error|fatal|failure)[\])>]?|FAIL(?:ED)?)(?:[:!\]]|\s[:!-]|$)",
    r"^(?:ERROR|FATAL|CRITICAL|FAILURE)\b",
    r"^\[(?:ERROR|FATAL)\]",
    r"^Traceback \(most recent",
    r"(?:^|[\s:])(?:Error|Exception): |: (?:fatal )?error(?:\[\w+\])?[: ]|: ERROR\b",
    r"\b(?:[A-Z]\w+)?(?:AssertionError|AssertionFailed)\b|[Aa]ssertion .*failed",
    r": No such file or directory|Permission denied|: not found$",
    r"(?:^|[\s:\]\d])Killed(?:$|\s)|Out of memory|out of memory|oom-kill",
    r"\bAborted\b(?:$| \()|terminate called after",
    r"##\[error\]",
    r"\[ERROR\]",
    r" FAILED\b",
];

/// The word alone.
const WORD: &str = r"(?i)\b(?:error|failed|fatal|exception|failure)\b";

/// Every line of weight has one of these; so most lines are told apart in one look, colours and all.
pub(super) const STEMS: &str = r"(?-u)(?i:error|fail|fatal|excep|panic|killed|memory)|raceback|E   |npm ERR|E: |not ok|\xe2\x9c|\xe2\x97\x8f|\xc3\x97|\*\*\*|[Ff]ault|\.go:|ELIFE|ERR_|CRITICAL|not found|No such|denied|dumped|undefined|multiple def|cannot|No space|assert|Assert|abort|Abort|terminate|Caused|Uncaught|ninja|[Bb]us|Illegal|shared";

struct Rules {
    fine: Regex,
    harmless: Regex,
    expected: Regex,
    effect: Regex,
    cause: Regex,
    general: Regex,
    word: Regex,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let one = |text: &str| Regex::new(text).expect("a fixed expression; a test runs it");
    Rules {
        fine: one(FINE),
        harmless: one(HARMLESS),
        expected: one(EXPECTED),
        effect: one(&EFFECT.join("|")),
        cause: one(&CAUSE.join("|")),
        general: one(&GENERAL.join("|")),
        word: one(WORD),
    }
});

/// What a line weighs; `text` is without colours.
pub(super) fn weight(text: &str) -> Option<Weight> {
    let (rules, text) = (&*RULES, text.trim());
    let harmless = || rules.harmless.is_match(text);
    match () {
        () if rules.fine.is_match(text) => None,
        () if rules.effect.is_match(text) => Some(Weight::Effect),
        () if rules.cause.is_match(text) => Some(Weight::Cause),
        () if rules.general.is_match(text) => (!harmless()).then_some(Weight::General),
        () if rules.word.is_match(text) => (!harmless() && !rules.expected.is_match(text)).then_some(Weight::Word),
        () => None,
    }
}

/// Whether a line looks like the word of an error.
pub fn looks_wrong(text: &str) -> bool {
    weight(text).is_some_and(|weight| weight > Weight::Word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: [&str; 47] = [
        "error[E0308]: mismatched types",
        "src/main.c:3:5: error: expected ';'",
        "main.c:7:10: fatal error: missing.h: No such file or directory",
        "gcc: error: missing.c: No such file or directory",
        "/usr/lib/gcc/x86_64-linux-gnu/12/cc1: fatal error: x.c: No such file",
        "cc1: fatal error: x.c: No such file or directory",
        "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
        "src/a.ts:3:5 - error TS2304: Cannot find name 'x'.",
        "./x.go:3:5: undefined: y",
        "x.py:3: error: Incompatible types  [assignment]",
        "App.java:3: error: ';' expected",
        "[ERROR] /src/App.java:[3,5] ';' expected",
        "CMake Error at CMakeLists.txt:3 (find_package):",
        "main.c:(.text+0x9): undefined reference to `f'",
        "/usr/bin/ld: cannot find -lfoo: No such file or directory",
        "E       assert 1 == 2",
        "E   AssertionError: not raised",
        "FAILED tests/x.py::test_a - assert 1 == 2",
        "tests/test_x.py::test_y FAILED",
        "FAIL: test_bare_cr (tests.test_comment.TestComment)",
        "ERROR: test_x (tests.TestX)",
        "--- FAIL: TestX (0.00s)",
        "FAIL\texample.com/x\t0.003s",
        "FAIL src/x.test.js",
        "not ok 1001 - name",
        "  ✗ renders",
        "  ✕ renders (3 ms)",
        "● Suite › renders",
        "test parse::tests::it_reads ... FAILED",
        "[ERROR] Tests run: 3, Failures: 1 <<< FAILURE!",
        "thread 'main' panicked at src/main.rs:2:5:",
        "panic: runtime error: index out of range",
        "fatal error: all goroutines are asleep - deadlock!",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "KeyError: 'x'",
        "SyntaxError: invalid syntax",
        "TypeError: x is not a function",
        "java.lang.IllegalStateException: x",
        "Exception in thread \"main\" java.lang.Error",
        "Caused by: java.io.IOException: x",
        "fatal: not a git repository",
        "bash: line 1: cc: command not found",
        "sh: 1: cc: not found",
        "/bin/sh: 1: cc: not found",
        "./app: error while loading shared libraries: libx.so: cannot open shared object file: No such file or directory",
        "Segmentation fault (core dumped)",
        "write: No space left on device",
    ];
    const GENERALS: [&str; 10] = [
        "error: something",
        "Error: something",
        "ERROR something",
        "[ERROR] COMPILATION ERROR :",
        "Traceback (most recent call last):",
        "cat: x: No such file or directory",
        "sh: line 3:    12 Killed                  ./eat",
        "Killed",
        "Assertion `x' failed.",
        "a: error: b",
    ];
    const EFFECTS: [&str; 8] = [
        "make: *** [Makefile:7: app] Error 1",
        "make[1]: *** [x] Error 2",
        "error: could not compile `x` (bin \"x\") due to 1 previous error",
        "npm ERR! code ELIFECYCLE",
        "BUILD FAILED",
        "FAILED (failures=1)",
        "collect2: error: ld returned 1 exit status",
        "=== 1 failed, 4 passed in 0.03s ===",
    ];
    const NOTHING: [&str; 19] = [
        "WARNING: error reporting is off",
        "warning: error: x is deprecated",
        "ok (expected error: cannot open foo)",
        "ok 12 - panicked at is caught",
        "not ok 3 - later # todo not yet",
        "✓ shows error: no",
        "test it_fails ... ok",
        "tests/x.py::test_error PASSED",
        "0 errors, no error here",
        "12 passed, 0 failed",
        "errors=0",
        "no errors",
        "error_handling.py ok",
        "expected error in line 3",
        "the error handler is set",
        "all good",
        "error: 0",
        "PASS src/error.test.js",
        "",
    ];

    #[test]
    fn a_line_weighs_what_it_says() {
        let of = |texts: &[&str], wanted: Option<Weight>| {
            for text in texts {
                assert_eq!(weight(text), wanted, "{text}");
            }
        };
        of(&CAUSES, Some(Weight::Cause));
        of(&GENERALS, Some(Weight::General));
        of(&EFFECTS, Some(Weight::Effect));
        of(&["the step failed", "an error was seen"], Some(Weight::Word));
        of(&NOTHING, None);
    }

    #[test]
    fn every_line_of_weight_is_looked_at() {
        let stems = regex::bytes::Regex::new(STEMS).unwrap();
        for text in CAUSES.iter().chain(&GENERALS).chain(&EFFECTS) {
            assert!(stems.is_match(text.as_bytes()), "{text}");
        }
    }
}
