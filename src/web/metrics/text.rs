//! Prometheus' text format, version 0.0.4.
use std::fmt::{Display, Write as _};

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// A value that goes up and down, alone in its family.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value of a family.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line(format_args!("{name}"));
        for (i, (key, text)) in labels.iter().enumerate() {
            self.line(format_args!("{}{key}=\"{}\"", if i == 0 { '{' } else { ',' }, escaped(text)));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.line(format_args!("{end} {value}\n"));
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a String cannot fail");
    }
}

/// A label's value, which ends at a quote.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_label_stays_inside_its_quotes() {
        let mut text = Text::default();
        text.gauge("up", "It is.", 1);
        text.family("jobs", "counter", "Jobs.");
        text.sample("jobs", &[("pipeline", "a\"} 9\nevil 1\\"), ("status", "success")], 2);
        let wanted = "# HELP up It is.\n# TYPE up gauge\nup 1\n# HELP jobs Jobs.\n# TYPE jobs counter\n\
                      jobs{pipeline=\"a\\\"} 9\\nevil 1\\\\\",status=\"success\"} 2\n";
        assert_eq!(text.finish(), wanted);
    }
}
